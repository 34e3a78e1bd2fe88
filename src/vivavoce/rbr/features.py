"""Features of one completion: the proposition probabilities that its response type asks for, then its class probabilities.

A proposition without a grade makes the whole vector ungraded: nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vivavoce.grading import Grade, Graded, Ungraded
from vivavoce.rbr.probability import ClassModel, Reading
from vivavoce.rbr.rules import Rules

CLASS_PREFIX = "class:"


@dataclass(frozen=True, slots=True)
class Features:
    """Named feature values in a fixed order."""

    values: Mapping[str, float]


class FeatureMaker:
    """Makes features for one policy and one reading of the class probabilities."""

    def __init__(self, rules: Rules, reading: Reading = "exact") -> None:
        self.rules = rules
        self.reading: Reading = reading
        self._models = {name: ClassModel(rules, name) for name in rules.response_types}

    def list_names(self, response_type: str) -> tuple[str, ...]:
        """Feature names of a response type, in order: propositions, then `class:` names, best first."""
        kind = self.rules.find_response_type(response_type)
        return (*kind.features, *(CLASS_PREFIX + label for label in kind.classes))

    def make(self, response_type: str, grades: Mapping[str, Grade]) -> Features | Ungraded:
        """Features from the grades of the propositions in `rules.list_graded(response_type)`.

        An ungraded or absent proposition gives `Ungraded`, with the first such proposition and its reason in `detail`.
        """
        kind = self.rules.find_response_type(response_type)
        probs: dict[str, float] = {}
        for name in self.rules.list_graded(kind.name):
            grade = grades.get(name, Ungraded("missing", "not graded"))
            if isinstance(grade, Ungraded):
                return Ungraded(grade.reason, f"{name}: {grade.detail}" if grade.detail else name)
            probs[name] = grade.value
        weighed = self._models[kind.name].weigh(
            {name: np.array([value]) for name, value in probs.items()}, self.reading
        )
        classes = {CLASS_PREFIX + label: float(value[0]) for label, value in weighed.items()}
        if any(np.isnan(value) for value in classes.values()):
            return Ungraded("no_class", "every class has product 0 in the normalised reading")
        return Features({name: probs[name] for name in kind.features} | classes)


def decide(grades: Mapping[str, Grade], thresholds: Mapping[str, float]) -> dict[str, bool]:
    """Truth values of the graded propositions: probability at or above the proposition's threshold (0.5 if it has none)."""
    return {
        name: grade.value >= thresholds.get(name, 0.5) for name, grade in grades.items() if isinstance(grade, Graded)
    }
