"""The graders of `rbr` as a second opinion: a measure is put as propositions about the answer, each with a probability.

Which propositions a measure stands for is data (`propositions.yaml`). A grader that fails on one of them gives no opinion,
with the reason; it never changes the score.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import yaml

from vivavoce.card.evaluation import Item
from vivavoce.card.sources import read_package_file
from vivavoce.content import Message, Text
from vivavoce.errors import CheckpointError, ConfigError
from vivavoce.grading import Grade, Graded, Ungraded
from vivavoce.rbr.graders import interface
from vivavoce.rbr.graders.open import Opened, open_grader
from vivavoce.rbr.rules import read_rules

DEFAULT_GRADER = "offline"
NO_GRADER = "none"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PropositionGrader:
    """An opened grader of `rbr` and the literals by measure."""

    opened: Opened
    passes: Mapping[str, Mapping[str, bool]]
    version: int

    @property
    def identity(self) -> str:
        """What its answers depend on: grader, thresholds, and the version of the table."""
        return f"{self.opened.grader.identity} with propositions.yaml version {self.version}"

    def knows(self, measure: str) -> bool:
        """Whether propositions stand for this measure."""
        return measure in self.passes

    def grade(self, pairs: Sequence[tuple[Item, str]]) -> list[Grade]:
        """A grade, 1 or 0 with the probabilities in its detail, for every (item, answer). Blocks until all are there."""
        requests = [
            interface.GradeRequest(
                item=interface.Item(
                    prompt=(Message("user", (Text(item.prompt or f"[{item.sound}]"),)),), completion=answer
                ),
                propositions=tuple(self.passes[item.measure]),
            )
            for item, answer in pairs
        ]
        graded = interface.grade_all_now(self.opened.grader, requests)
        return [self._decide(self.passes[item.measure], grades) for (item, _), grades in zip(pairs, graded)]

    def _decide(self, literals: Mapping[str, bool], grades: Mapping[str, Grade]) -> Grade:
        probabilities: dict[str, float] = {}
        for name, grade in grades.items():
            if isinstance(grade, Ungraded):
                return Ungraded(grade.reason, f"{name}: {grade.detail}")
            probabilities[name] = grade.value
        bounds = self.opened.thresholds
        holds = all((probabilities[name] >= bounds.get(name, 0.5)) == wanted for name, wanted in literals.items())
        return Graded(float(holds), {"probabilities": probabilities})


@cache
def open_proposition_grader(text: str = DEFAULT_GRADER) -> PropositionGrader | None:
    """The grader that `text` names as `viva rbr` does; None for `none`, and where the one that ships is not at hand.

    Raises: ConfigError for another kind of grader or a proposition that the policy lacks; CheckpointError for a named
    folder without one.
    """
    if text in ("", NO_GRADER):
        return None
    table = yaml.safe_load(read_package_file("graders", "propositions.yaml"))
    rules = read_rules(table["policy"])
    for measure, literals in table["passes"].items():
        if unknown := sorted(set(literals) - set(rules.propositions)):
            raise ConfigError(f"propositions.yaml: {measure} names {unknown}, which policy {rules.name} lacks")
    try:
        opened = open_grader(text, rules)
    except CheckpointError as error:
        if text != DEFAULT_GRADER:
            raise
        log.warning("no second opinion of rbr: %s", error)
        return None
    return PropositionGrader(opened, table["passes"], table["version"])
