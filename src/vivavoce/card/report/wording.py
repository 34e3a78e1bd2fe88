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
    interval = f" [{say_number(estimate['ci'][0])}, {say_number(estimate['ci'][1])}]" if estimate["ci"] else ""
    return f"{say_number(estimate['value'], unit)}{interval} (n={estimate['n']})"


def say_coverage(group: Mapping[str, Any]) -> str:
    """`24/24`, or `20/24 (no_audio 4)`."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in group["reasons"].items())
    return f"{group['graded']}/{group['total']}" + (f" ({reasons})" if reasons else "")


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
