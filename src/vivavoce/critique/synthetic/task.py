"""What a synthetic task is: a seeded generator with difficulty knobs, corruption operators, and three oracles.

Oracles return `Graded(1.0 | 0.0)`, or `Ungraded("unparsed")` for text that is not in the task's form: counted apart,
never scored. Names and shapes follow the self-critiquing paper's synthetic tasks as reconstructed in docs/sources.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple, Protocol

from vivavoce.critique.spans import TextSpan
from vivavoce.grading import Grade, Graded, Ungraded

UNPARSED = "unparsed"


@dataclass(frozen=True, slots=True)
class Problem:
    """One item. `reference` is a right answer; `facts` is what the oracles need."""

    task: str
    passage: str
    question: str
    reference: str
    facts: Mapping[str, Any]


class Corruption(NamedTuple):
    """An answer with a planted flaw: which operator made it, one valid critique of it, and where it is."""

    text: str
    operator: str
    critique: str
    span: TextSpan


class SyntheticTask(Protocol):
    """A task; implementations are frozen dataclasses whose fields are the difficulty knobs."""

    @property
    def name(self) -> str:
        """What the task is called in records and reports."""
        ...

    def generate(self, rng: Random) -> Problem:
        """A problem drawn with `rng`."""
        ...

    def corrupt(self, problem: Problem, rng: Random) -> Corruption:
        """The reference answer with one planted flaw."""
        ...

    def check_answer(self, problem: Problem, answer: str) -> Grade:
        """1 if the answer is right."""
        ...

    def check_critique(self, problem: Problem, answer: str, critique: str) -> Grade:
        """1 if what the critique says of the answer is true, and a flaw."""
        ...

    def list_critiques(self, problem: Problem, answer: str) -> list[str]:
        """Every valid critique, in a fixed order; empty exactly if nothing can be criticised."""
        ...

    def draw_invalid(self, problem: Problem, answer: str, rng: Random) -> str | None:
        """A well-formed critique that is not valid; None if there is none."""
        ...

    def locate(self, problem: Problem, answer: str, critique: str) -> TextSpan | None:
        """The characters of the answer that a critique is about; None if it is not parsed or is about no place."""
        ...

    def repair(self, problem: Problem, answer: str, critique: str) -> str | None:
        """The answer with only what a valid critique names put right; None if that does not follow from it."""
        ...


def grade_bool(is_true: bool) -> Grade:
    """1 or 0."""
    return Graded(float(is_true))


def unparsed(detail: str) -> Ungraded:
    """The grade of a text that is not in the task's form."""
    return Ungraded(UNPARSED, detail[:200])


def is_critiqueable(task: SyntheticTask, problem: Problem, answer: str) -> Grade:
    """1 if there is anything to criticise. The oracle of the critiqueability task."""
    right = task.check_answer(problem, answer)
    return right if isinstance(right, Ungraded) else grade_bool(right.value < 1)
