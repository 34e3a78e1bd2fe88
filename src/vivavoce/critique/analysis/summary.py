"""Everything that a study says, as plain values: outcomes by arm, reliance, agreement, and the plan's tests.

Intervals of single arms are clustered by labeller (of shares: Wilson's; of counts on which all agree: exact Poisson ones);
differences by labeller and answer (see `effects`). Where nothing varied there is no interval rather than one of no width.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vivavoce.critique.analysis.effects import TestResult, run_tests
from vivavoce.critique.analysis.trials import StudyData, Trial
from vivavoce.stats import (
    Estimate,
    bootstrap,
    drop_empty_interval,
    estimate_clustered_proportion,
    estimate_count,
    estimate_mean,
    measure_alpha,
)


class ArmRow(NamedTuple):
    """One arm over one kind of answer (or all kinds)."""

    kind: str
    arm: str
    num_trials: int
    num_labellers: int
    flaws: Estimate
    by_severity: dict[int, Estimate]
    hits: Estimate
    num_hits_unknown: int
    share_valid: Estimate
    num_flaws_unjudged: int
    minutes: Estimate
    """Geometric mean of minutes of work."""
    rating: Estimate


class RelianceRow(NamedTuple):
    """How often suggestions of an arm were used: decoys, which are wrong, and the others; and where flaws came from."""

    arm: str
    decoys_used: Estimate
    real_used: Estimate
    provenance: dict[str, int]


class Agreement(NamedTuple):
    """Krippendorff's alpha with a bootstrap interval over passages."""

    name: str
    alpha: Estimate
    num_items: int


class Summary(NamedTuple):
    """The whole analysis."""

    arms: list[ArmRow]
    reliance: list[RelianceRow]
    agreement: list[Agreement]
    tests: list[TestResult]


def summarise(study: StudyData, *, seed: int) -> Summary:
    """All tables of the report."""
    arms = [arm.name for arm in study.plan.arms]
    groups = [(kind, [t for t in study.trials if t.kind == kind]) for kind in study.plan.kinds]
    groups.append(("all kinds", list(study.trials)))
    rows = [
        _describe_arm(kind, arm, [t for t in trials if t.arm == arm], sorted(study.plan.severities))
        for kind, trials in groups
        for arm in arms
    ]
    reliance = [_describe_reliance(arm, [t for t in study.trials if t.arm == arm]) for arm in arms]
    return Summary(rows, reliance, measure_agreement(study, seed=seed), run_tests(study, seed=seed))


def _describe_arm(kind: str, arm: str, trials: Sequence[Trial], severities: Sequence[int]) -> ArmRow:
    hits = [(t, value) for t in trials if (value := t.outcome("intended_hit")) is not None]
    logs = [(t, math.log(t.active_s / 60)) for t in trials if t.active_s]
    decided = [t for t in trials if t.num_decided]
    minutes = _mean([t for t, _ in logs], [value for _, value in logs])
    rated = [t for t in trials if t.rating is not None]
    return ArmRow(
        kind,
        arm,
        len(trials),
        len({t.labeller for t in trials}),
        _count(trials, [t.num_flaws for t in trials]),
        {level: _count(trials, [t.by_severity.get(level, 0) for t in trials]) for level in severities},
        _share([t for t, _ in hits], [int(value) for _, value in hits], [1] * len(hits)),
        sum(t.kind == "misleading" and t.intended_hit is None for t in trials),
        _share(decided, [t.num_decided_valid for t in decided], [t.num_decided for t in decided]),
        sum(t.num_flaws - t.num_decided for t in trials),
        _exponentiate(minutes),
        _mean(rated, [float(t.rating or 0) for t in rated]),
    )


def _describe_reliance(arm: str, trials: Sequence[Trial]) -> RelianceRow:
    decoys = _share(trials, [t.num_decoys_used for t in trials], [t.num_decoys_shown for t in trials])
    real = _share(trials, [t.num_real_used for t in trials], [t.num_real_shown for t in trials])
    provenance: Counter[str] = Counter()
    for trial in trials:
        provenance.update(trial.provenance)
    return RelianceRow(arm, decoys, real, dict(sorted(provenance.items())))


def measure_agreement(study: StudyData, *, seed: int) -> list[Agreement]:
    """Of second raters on whether a flaw is real, and of labellers on how good an answer is."""
    numbers = {"valid": 1.0, "invalid": 0.0}
    verdicts: list[tuple[dict[Hashable, float], str]] = [
        ({rater: numbers[word] for rater, word in check.items() if word in numbers}, passage)
        for check, passage in zip(study.checks, study.check_passages)
    ]
    doubled = [(ratings, passage) for ratings, passage in verdicts if len(ratings) >= 2]
    by_answer: dict[str, tuple[dict[Hashable, float], str]] = {}
    for trial in study.trials:
        if trial.rating is not None:
            by_answer.setdefault(trial.answer, ({}, trial.passage))[0][trial.labeller] = float(trial.rating)
    rated = [pair for pair in by_answer.values() if len(pair[0]) >= 2]
    return [
        Agreement("second raters: is the flaw real", _alpha(doubled, seed=seed, is_nominal=True), len(doubled)),
        Agreement("labellers: quality 1 to 7", _alpha(rated, seed=seed, is_nominal=False), len(rated)),
    ]


def _alpha(items: Sequence[tuple[Mapping[Hashable, float], str]], *, seed: int, is_nominal: bool) -> Estimate:
    def statistic(chosen: np.ndarray) -> float:
        value = measure_alpha([items[int(idx)][0] for idx in chosen], is_nominal=is_nominal)
        return math.nan if value is None else value

    clusters = [passage for _, passage in items]
    return drop_empty_interval(bootstrap(statistic, len(items), seed=seed, clusters=clusters, num_draws=500))


def _share(trials: Sequence[Trial], num_true: Sequence[int], num_all: Sequence[int]) -> Estimate:
    """A share over the things (suggestions, flaws, answers) of all trials, clustered by labeller.

    Wilson's interval, because none of few says little: it has some width also at 0 and at 1.
    """
    outcomes = [float(idx < true) for true, total in zip(num_true, num_all) for idx in range(total)]
    labellers = [trial.labeller for trial, total in zip(trials, num_all) for _ in range(total)]
    return estimate_clustered_proportion(outcomes, labellers)


def _count(trials: Sequence[Trial], counts: Sequence[int]) -> Estimate:
    """A mean count by answer, clustered by labeller."""
    return estimate_count(counts, [t.labeller for t in trials])


def _mean(trials: Sequence[Trial], values: Sequence[float]) -> Estimate:
    return drop_empty_interval(estimate_mean(values, [t.labeller for t in trials]))


def _exponentiate(estimate: Estimate) -> Estimate:
    if estimate.value is None:
        return estimate
    low = math.exp(estimate.low) if estimate.low is not None else None
    high = math.exp(estimate.high) if estimate.high is not None else None
    return Estimate(math.exp(estimate.value), estimate.n, low, high, "geometric mean, " + estimate.method)


def summary_to_json(summary: Summary) -> dict[str, Any]:
    """Plain values: every estimate as `{"value", "n", "ci", "method"}`."""
    return {
        "tests": [test.to_json() for test in summary.tests],
        "arms": [
            {
                "kind": row.kind,
                "arm": row.arm,
                "trials": row.num_trials,
                "labellers": row.num_labellers,
                "flaws_per_answer": row.flaws.to_json(),
                "by_severity": {str(level): value.to_json() for level, value in row.by_severity.items()},
                "intended_hit": row.hits.to_json(),
                "hits_not_judged": row.num_hits_unknown,
                "share_valid": row.share_valid.to_json(),
                "flaws_not_judged": row.num_flaws_unjudged,
                "minutes": row.minutes.to_json(),
                "rating": row.rating.to_json(),
            }
            for row in summary.arms
        ],
        "reliance": [
            {
                "arm": row.arm,
                "decoys_used": row.decoys_used.to_json(),
                "others_used": row.real_used.to_json(),
                "provenance": row.provenance,
            }
            for row in summary.reliance
        ],
        "agreement": [
            {"of": row.name, "alpha": row.alpha.to_json(), "items": row.num_items} for row in summary.agreement
        ],
    }
