"""Does the helpfulness head rank critiques better than chance, length or overlap? Pairwise, within one answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

import numpy as np

from vivavoce.critique.constants import widen_constant
from vivavoce.critique.language import Respondent
from vivavoce.critique.loaders.records import PassageRecord
from vivavoce.critique.tasks.forms import describe_medium, render
from vivavoce.critique.texts import measure_overlap
from vivavoce.grading import Coverage, Graded, count_coverage
from vivavoce.stats import Estimate, bootstrap

TRIVIAL = ("random", "longer", "shorter", "overlap_passage", "overlap_answer", "novelty")


class Pair(NamedTuple):
    """A helpful and an unhelpful critique of one answer."""

    source: str
    passage_key: str
    passage: str
    question: str
    answer: str
    helpful: str
    unhelpful: str


class SourceRanking(NamedTuple):
    """The same within one source, against the trivial ranker that is best there."""

    model: Estimate
    best_trivial: str
    lead_over_best_trivial: Estimate


class RankingReport(NamedTuple):
    """Pairwise accuracy of each ranker (ties half), and the model's lead over random and over the best trivial one.

    by_source: over all sources a model may lead by knowing which trivial ranker is right where; here it can't.
    """

    accuracy: dict[str, Estimate]
    best_trivial: str
    lead_over_random: Estimate
    lead_over_best_trivial: Estimate
    coverage: Coverage
    by_source: dict[str, SourceRanking]


def list_pairs(records: Sequence[PassageRecord]) -> list[Pair]:
    """Every (helpful, unhelpful) pair under one answer; of an ordered pair the first is the helpful one."""
    pairs = list[Pair]()
    for record in records:
        for question in record.questions:
            for answer in question.answers:
                judged = [
                    (critique, critique.is_helpful if critique.is_helpful is not None else critique.is_valid)
                    for critique in answer.critiques
                    if critique.text
                ]
                good = [critique.text for critique, label in judged if label is True]
                bad = [critique.text for critique, label in judged if label is False]
                where = (record.source, record.key, record.text, question.text, describe_medium(answer))
                pairs += [Pair(*where, helpful, unhelpful) for helpful in good for unhelpful in bad]
    return pairs


def measure_ranking(model: Respondent, pairs: Sequence[Pair], *, seed: int, num_draws: int = 1000) -> RankingReport:
    """Accuracy on pairs of held-out passages, intervals by resampling passages whole.

    A pair of which the model grades only one is left out of every ranker's number, so that all are on the same pairs.
    The best trivial ranker is chosen on these same pairs, which favours it.
    """
    prompts = [
        render("helpfulness", passage=pair.passage, question=pair.question, answer=pair.answer, critique=critique)
        for pair in pairs
        for critique in (pair.helpful, pair.unhelpful)
    ]
    grades = model.judge("helpfulness", prompts)
    kept = [
        (pair, left.value, right.value)
        for pair, left, right in zip(pairs, grades[::2], grades[1::2])
        if isinstance(left, Graded) and isinstance(right, Graded)
    ]
    wins: dict[str, np.ndarray] = {"model": np.array([_win(left, right) for _, left, right in kept])}
    rng = Random(seed)
    for name in TRIVIAL:
        wins[name] = np.array(
            [
                _win(_score(name, pair, pair.helpful, rng), _score(name, pair, pair.unhelpful, rng))
                for pair, _, _ in kept
            ]
        )
    clusters = [pair.passage_key for pair, _, _ in kept]

    def estimate(values: np.ndarray, idx: np.ndarray, low: float, high: float) -> Estimate:
        own = [clusters[number] for number in idx]
        found = bootstrap(_mean_of(values[idx]), len(idx), seed=seed, clusters=own, num_draws=num_draws)
        return widen_constant(found, low, high)

    everything = np.arange(len(kept))
    best = _find_best(wins, everything)
    sources = np.array([pair.source for pair, _, _ in kept])
    by_source = dict[str, SourceRanking]()
    for source in sorted(set(sources.tolist())):
        idx = np.flatnonzero(sources == source)
        name = _find_best(wins, idx)
        lead = estimate(wins["model"] - wins[name], idx, -1, 1)
        by_source[source] = SourceRanking(estimate(wins["model"], idx, 0, 1), name, lead)
    # chance is exactly one half; a drawn random ranker would only add noise to the difference
    return RankingReport(
        {name: estimate(values, everything, 0, 1) for name, values in wins.items()}, best,
        estimate(wins["model"] - 0.5, everything, -0.5, 0.5), estimate(wins["model"] - wins[best], everything, -1, 1),
        count_coverage(grades), by_source,
    )  # fmt: skip


def _find_best(wins: Mapping[str, np.ndarray], idx: np.ndarray) -> str:
    return max(TRIVIAL[1:], key=lambda name: float(wins[name][idx].mean()) if len(idx) else 0.0)


def _mean_of(values: np.ndarray):
    return lambda idx: float(values[idx].mean()) if len(idx) else math.nan


def _win(left: float, right: float) -> float:
    return 0.5 if left == right else float(left > right)


def _score(name: str, pair: Pair, critique: str, rng: Random) -> float:
    match name:
        case "longer":
            return len(critique)
        case "shorter":
            return -len(critique)
        case "overlap_passage":
            return measure_overlap(critique, pair.passage)
        case "overlap_answer":
            return measure_overlap(critique, pair.answer)
        case "novelty":
            return measure_overlap(critique, pair.passage) - measure_overlap(critique, pair.answer)
    return rng.random()


def rank_report_to_json(report: RankingReport) -> Mapping[str, object]:
    """The report as JSON."""
    return {
        "accuracy": {name: value.to_json() for name, value in report.accuracy.items()},
        "best_trivial": report.best_trivial,
        "lead_over_random": report.lead_over_random.to_json(),
        "lead_over_best_trivial": report.lead_over_best_trivial.to_json(),
        "coverage": report.coverage._asdict(),
        "by_source": {
            source: {
                "model": found.model.to_json(),
                "best_trivial": found.best_trivial,
                "lead_over_best_trivial": found.lead_over_best_trivial.to_json(),
            }
            for source, found in report.by_source.items()
        },
    }
