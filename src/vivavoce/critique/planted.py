"""Planted flaws in real text (SummEdits, BUMP, or any record with clean twins): does a critic find them, and cry wolf?

A critique hits if it quotes or names what was changed. Precision is over everything the critic shows, clean twins
included; recall over the planted flaws. A lexical baseline quotes answer words that the passage lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any, NamedTuple, Protocol

import numpy as np

from vivavoce.critique.constants import widen_constant
from vivavoce.critique.language import LanguageModel, Respondent
from vivavoce.critique.loaders.records import AnswerRecord, PassageRecord, PlantedFlaw
from vivavoce.critique.pool import Sampling, Scored, Target, draw_pools, select
from vivavoce.critique.spans import TextSpan, has_overlap
from vivavoce.critique.tasks.forms import render
from vivavoce.critique.texts import split_words
from vivavoce.errors import DataError
from vivavoce.stats import Estimate, bootstrap, estimate_difference

THRESHOLDS = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9)  # chosen: probabilities of being helpful, spread over what heads give
_QUOTED = re.compile(r'"([^"\n]+)"')


class Twins(NamedTuple):
    """A flawed answer and the clean one it was edited from."""

    passage_key: str
    passage: str
    question: str
    flawed: str
    clean: str
    flaw: PlantedFlaw


class Shower(Protocol):
    """Anything that shows critiques of answers."""

    def show(self, targets: Sequence[Target]) -> list[list[str]]:
        """The critiques shown for each target; none if it sees nothing wrong."""
        ...

    def can_read(self, target: Target) -> bool:
        """False if not even question, answer and a critique fit what it can read at once."""
        ...


class PlantedReport(NamedTuple):
    """precision: hits over shown; recall: flaws hit; false_alarms: clean twins with anything shown."""

    precision: Estimate
    recall: Estimate
    false_alarms: Estimate
    recall_by_item: np.ndarray


def list_twins(records: Sequence[PassageRecord]) -> list[Twins]:
    """Every flawed answer with planted flaws and a clean parent."""
    twins = list[Twins]()
    for record in records:
        for question in record.questions:
            by_key: dict[str, AnswerRecord] = {answer.key: answer for answer in question.answers}
            for answer in question.answers:
                parent = by_key.get(answer.parent_key or "")
                if parent is not None and answer.planted_flaws and answer.is_correct is False:
                    flaw = answer.planted_flaws[0]
                    twins.append(Twins(record.key, record.text, question.text, answer.text, parent.text, flaw))
    return twins


def keep_readable(twins: Sequence[Twins], critics: Iterable[Shower]) -> list[Twins]:
    """The twins that every critic can read, so that all are compared on the same ones."""
    shared = list(critics)
    return [
        twin
        for twin in twins
        if all(
            critic.can_read(Target(twin.passage, twin.question, answer))
            for critic in shared
            for answer in (twin.flawed, twin.clean)
        )
    ]


def is_hit(critique: str, answer: str, flaw: PlantedFlaw) -> bool:
    """True if a quote in the critique overlaps the changed place, or, without quotes, if it uses a changed word.

    Changed words that stand elsewhere in the answer too do not count: naming them does not single out the place.
    """
    quotes = [quote for quote in _QUOTED.findall(critique) if quote in answer]
    if quotes:
        places = [
            TextSpan(found.start(), found.end()) for quote in quotes for found in re.finditer(re.escape(quote), answer)
        ]
        return any(has_overlap(place, span) for place in places for span in flaw.answer_spans)
    changed = set[str]()
    for span in flaw.answer_spans:
        if isinstance(span, TextSpan):
            changed |= set(split_words(answer[span.begin : span.end])) - set(
                split_words(answer[: span.begin] + " " + answer[span.end :])
            )
    return bool(changed & set(split_words(critique)))


def measure_planted(shower: Shower, twins: Sequence[Twins], *, seed: int, num_draws: int = 1000) -> PlantedReport:
    """Precision, recall and false alarms; intervals by resampling passages whole, or by `widen_constant`."""
    of_flawed = shower.show([Target(twin.passage, twin.question, twin.flawed) for twin in twins])
    of_clean = shower.show([Target(twin.passage, twin.question, twin.clean) for twin in twins])
    hits = [[is_hit(text, twin.flawed, twin.flaw) for text in texts] for twin, texts in zip(twins, of_flawed)]
    num_hits = np.array([sum(row) for row in hits], float)
    num_shown = np.array([len(left) + len(right) for left, right in zip(of_flawed, of_clean)], float)
    found = np.array([any(row) for row in hits], float)
    alarms = np.array([bool(texts) for texts in of_clean], float)
    clusters = [twin.passage_key for twin in twins]

    def estimate(top: np.ndarray, bottom: np.ndarray) -> Estimate:
        def ratio(idx: np.ndarray) -> float:
            return float(top[idx].sum() / bottom[idx].sum()) if bottom[idx].sum() else float("nan")

        found = bootstrap(ratio, len(twins), seed=seed, clusters=clusters, num_draws=num_draws)
        if found.value in (0.0, 1.0):  # nothing varied, also where so little was shown that resampling has no interval
            found = Estimate(found.value, found.n, found.value, found.value, found.method)
        units = len({cluster for cluster, weight in zip(clusters, bottom) if weight})
        return widen_constant(found, 0, 1, units=units)

    ones = np.ones(len(twins))
    return PlantedReport(estimate(num_hits, num_shown), estimate(found, ones), estimate(alarms, ones), found)


def trace_curve(
    critic: ModelCritic, twins: Sequence[Twins], *, seed: int, thresholds: Sequence[float] = THRESHOLDS
) -> dict[float, PlantedReport]:
    """Precision, recall and false alarms by threshold, on the same pools: high ones are precise, low ones find more."""
    return {threshold: measure_planted(critic.at(threshold), twins, seed=seed) for threshold in thresholds}


def report_to_json(report: PlantedReport) -> dict[str, Any]:
    """`{"precision", "recall", "false_alarms"}`, each with n and interval."""
    return {
        "precision": report.precision.to_json(), "recall": report.recall.to_json(),
        "false_alarms": report.false_alarms.to_json(),
    }  # fmt: skip


def compare_recall(left: PlantedReport, right: PlantedReport, twins: Sequence[Twins]) -> Estimate:
    """Recall of `left` minus that of `right` on the same flaws, passages as clusters."""
    clusters = [twin.passage_key for twin in twins]
    return widen_constant(estimate_difference(left.recall_by_item, right.recall_by_item, clusters), -1, 1)


class ModelCritic:
    """A model's critiques above the helpfulness threshold."""

    def __init__(
        self,
        model: Respondent,
        sampling: Sampling,
        *,
        threshold: float = 0.5,
        length_modifier: float = 0.0,
        limit: int = 1,
    ) -> None:
        self.model, self.sampling = model, sampling
        self.threshold, self.length_modifier, self.limit = threshold, length_modifier, limit
        self._pools: dict[Target, list[Scored]] = {}

    def at(self, threshold: float) -> ModelCritic:
        """The same critic, pools included, at another threshold."""
        other = copy(self)
        other.threshold = threshold
        return other

    def can_read(self, target: Target) -> bool:
        """Whether the helpfulness prompt leaves room for a critique of the longest kind."""
        if not isinstance(self.model, LanguageModel):
            return True
        prompt = render(
            "helpfulness", passage=target.passage, question=target.question, answer=target.answer, critique=""
        )
        try:
            self.model.fit(prompt, reserve_tokens=self.sampling.max_new_tokens + 1)
        except DataError:
            return False
        return True

    def show(self, targets: Sequence[Target]) -> list[list[str]]:
        """The best distinct critiques of each target; a target's pool is drawn once."""
        fresh = [target for target in dict.fromkeys(targets) if target not in self._pools]
        self._pools.update(zip(fresh, draw_pools(self.model, fresh, self.sampling)))
        pools = [self._pools[target] for target in targets]
        chosen = [
            select(pool, max_similarity=self.sampling.max_similarity, threshold=self.threshold,
                   length_modifier=self.length_modifier, limit=self.limit)
            for pool in pools
        ]  # fmt: skip
        return [[str(scored.text) for scored in row] for row in chosen]


class LexicalCritic:
    """Quotes the longest answer word that the passage lacks; silent if it has them all."""

    def can_read(self, target: Target) -> bool:
        """Anything."""
        return True

    def show(self, targets: Sequence[Target]) -> list[list[str]]:
        """At most one critique each."""
        shown = list[list[str]]()
        for target in targets:
            known = set(split_words(target.passage))
            unknown = [word for word in split_words(target.answer) if word not in known]
            longest = max(unknown, key=len, default=None)
            place = re.search(re.escape(longest), target.answer, re.IGNORECASE) if longest else None
            shown.append([f'The passage does not say "{place.group()}".'] if place else [])
        return shown
