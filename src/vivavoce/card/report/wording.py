"""Numbers as readers see them: an estimate with its interval, n and coverage in one line, `n/a` where undefined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vivavoce.card.evaluation import ARM_TITLES


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


def say_published(evaluation: Mapping[str, Any]) -> str:
    """The published numbers of an evaluation with their editions, each named by what sets it apart from the others."""
    rows = evaluation["published"]
    titles = {measure["name"]: measure["title"] for measure in evaluation["measures"]}
    has_measures = len({row["measure"] for row in rows}) > 1
    has_arms = len({row.get("arm") for row in rows}) > 1
    said = []
    for row in rows:
        names = [
            titles.get(row["measure"]) if has_measures else None,
            row.get("label"),
            ARM_TITLES.get(row.get("arm")) if has_arms else None,
        ]
        label = ", ".join(name for name in names if name)
        value = row.get("note", "not published as text") if row["value"] is None else f"{row['value']:g}"
        said.append(f"{label}: {value} [{row['edition']}]" if label else f"{value} [{row['edition']}]")
    return "; ".join(said)


def say_caution(evaluation: Mapping[str, Any]) -> str:
    """Why its numbers can't be held against the published ones; empty where nothing is to be said."""
    sample = "This run used the authored sample." if evaluation["published"] and evaluation["authored_only"] else ""
    text = " ".join(part for part in (evaluation["comparable"], sample) if part)
    return f"Not the same task: {text}" if text and evaluation["published"] else text


def say_derived(label: str) -> str:
    """The label of a derived row, whose names of measures and channels are identifiers."""
    return label.replace("_", " ")
