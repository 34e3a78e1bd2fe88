"""A grade, or the reason why there is none; and prompts that the graded text cannot break out of.

A failed grade is not a score: every room passes `Graded | Ungraded` end to end, and every total prints its coverage.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vivavoce.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Graded:
    """A finite value; `detail` holds what the grader saw (missing probability mass, votes, tokens)."""

    value: float
    detail: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"grade is {self.value}; need a finite number; return Ungraded instead")


@dataclass(frozen=True, slots=True)
class Ungraded:
    """No grade. `reason` is a short stable word (`timeout`, `no_yes_no`, `nan`), `detail` a line for people."""

    reason: str
    detail: str = ""


Grade = Graded | Ungraded


def grade_probability(value: float, **detail: Any) -> Grade:
    """`Graded` when `value` is a probability, else `Ungraded`: NaN or out of range is a failed grade."""
    if math.isnan(value):
        return Ungraded("nan", "the grader returned NaN")
    if not 0.0 <= value <= 1.0:
        return Ungraded("out_of_range", f"the grader returned {value}; need 0 to 1")
    return Graded(value, detail)


class Coverage(NamedTuple):
    """How many of `total` items were graded, and why the others were not."""

    graded: int
    total: int
    reasons: dict[str, int]

    def __str__(self) -> str:
        if self.graded == self.total:
            return f"{self.graded}/{self.total}"
        why = ", ".join(f"{reason} {count}" for reason, count in sorted(self.reasons.items()))
        return f"{self.graded}/{self.total} ({why})"


def count_coverage(grades: Iterable[Grade]) -> Coverage:
    """Coverage of a batch of grades."""
    graded, total, reasons = 0, 0, dict[str, int]()
    for grade in grades:
        total += 1
        if isinstance(grade, Graded):
            graded += 1
        else:
            reasons[grade.reason] = reasons.get(grade.reason, 0) + 1
    return Coverage(graded, total, reasons)


_SLOT = re.compile(r"\{\{(\w+)\}\}")


def fill_prompt(template: str, values: Mapping[str, str], *, boundary: str | None = None) -> str:
    """`template` with each `{{name}}` replaced by its value between boundary marks the value cannot contain.

    The values are data under judgement, never instructions: slots inside a value stay literal, because substitution
    is one pass, and each value is enclosed in `<name boundary>` ... `</name boundary>` where `boundary` is a random
    word (pass one to make a prompt reproducible) that does not occur in any value.

    Raises: ConfigError if a slot has no value, a value has no slot, or `boundary` occurs in a value.
    """
    slots = set(_SLOT.findall(template))
    if slots != set(values):
        missing, unused = sorted(slots - set(values)), sorted(set(values) - slots)
        raise ConfigError(f"prompt slots without value: {missing}, values without slot: {unused}; names must match")
    if boundary is None:
        boundary = secrets.token_hex(8)
        while any(boundary in value for value in values.values()):
            boundary = secrets.token_hex(8)
    for name, value in values.items():
        if boundary in value:
            raise ConfigError(f"value of {name} contains the boundary {boundary!r}; choose another boundary")
    return _SLOT.sub(lambda slot: f"<{slot[1]} {boundary}>\n{values[slot[1]]}\n</{slot[1]} {boundary}>", template)
