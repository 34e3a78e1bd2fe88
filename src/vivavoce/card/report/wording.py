"""Numbers as readers see them: an estimate with its interval, n and coverage in one line, `n/a` where undefined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def say_number(value: float | None, unit: str = "") -> str:
    """Three decimals for shares, three significant digits otherwise."""
    if value is None:
        return "n/a"
    text = f"{value:.3f}" if -1 <= value <= 1 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def say_estimate(estimate: Mapping[str, Any] | None, unit: str = "") -> str:
    """`0.917 [0.646, 0.985] (n=12)`."""
    if estimate is None:
        return "not measured"
    if estimate["value"] is None:
        return f"n/a (n={estimate['n']})"
    interval = (
        f" [{say_number(estimate['ci'][0])}, {say_number(estimate['ci'][1])}]" if estimate["ci"] else " [no interval]"
    )
    return f"{say_number(estimate['value'], unit)}{interval} (n={estimate['n']})"


def say_coverage(group: Mapping[str, Any]) -> str:
    """`24/24`, or `20/24 (no_audio 4)`."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in group["reasons"].items())
    return f"{group['graded']}/{group['total']}" + (f" ({reasons})" if reasons else "")


def say_agreement(found: Mapping[str, Any]) -> str:
    """`0.950 [0.764, 0.991] (n=20), kappa 0.89, 1 ungraded, labels by the authors`."""
    kappa = "n/a" if found["kappa"] is None else f"{found['kappa']:.2f}"
    missing = f", {found['num_ungraded']} ungraded" if found["num_ungraded"] else ""
    return f"{say_estimate(found['share'])}, kappa {kappa}{missing}, labels by {found['labelled_by']}"


def say_opinion(name: str, opinion: Mapping[str, Any]) -> str:
    """Who gave a second opinion, and its agreement with the rules here and with gold labels."""
    who = {"heard": "the same rules on what was heard", "judge": "language model", "rbr": "grader of rbr"}[name]
    if opinion["model"]:
        who += f" {opinion['model']}"
    reasons = ", ".join(f"{reason} {count}" for reason, count in opinion["reasons"].items())
    text = f"{who}: agrees with the rules {say_estimate(opinion['agreement'])}"
    text += f", {opinion['num_ungraded']} ungraded ({reasons})" if reasons else ""
    if name != "heard":
        text += "; with gold labels " + (say_agreement(opinion["labels"]) if opinion["labels"] else "not measured")
    return text


def say_p(value: float) -> str:
    """A p-value, never as zero."""
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.4f}".rstrip("0").rstrip(".")


def say_level(level: str | None) -> str:
    """A level's name, or that there is none."""
    return "not measured" if level is None else level.replace("_", " ")


def say_published(row: Mapping[str, Any]) -> str:
    """A published number with its edition, or that there is none as text."""
    label = f"{row['label']}: " if row.get("label") else ""
    if row["value"] is None:
        return f"{label}{row.get('note', 'not published as text')} [{row['edition']}]"
    return f"{label}{row['value']:g} [{row['edition']}]"
