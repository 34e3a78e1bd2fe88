"""Effects of an arm against another: differences, rate ratios and time ratios, clustered by labeller and by answer.

Every labeller works in every arm and every answer is given in several, so that the two ways of clustering cross. What
labellers differ by cancels in a difference between arms; what is left of it is in the interval.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats as scipy_stats

from vivavoce.critique.analysis.trials import StudyData, Trial
from vivavoce.critique.study.plan import Hypothesis
from vivavoce.grading import Coverage
from vivavoce.stats import (
    CONFIDENCE,
    Estimate,
    correct_holm,
    drop_empty_interval,
    estimate_group_difference,
    permutation_p_value,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """One hypothesis: the difference, the ratio where the outcome is a count or a time, and how sure it is."""

    hypothesis: Hypothesis
    difference: Estimate
    ratio: Estimate | None
    p_value: float
    p_holm: float
    verdict: str
    coverage: Coverage
    num_trials: tuple[int, int]
    """Trials in the arm and in what it is held against."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for the report's file."""
        return {
            "hypothesis": self.hypothesis.name,
            "outcome": self.hypothesis.outcome,
            "arm": self.hypothesis.arm,
            "against": self.hypothesis.against,
            "kinds": list(self.hypothesis.kinds),
            "difference": self.difference.to_json(),
            "ratio": self.ratio.to_json() if self.ratio is not None else None,
            "p_permutation": self.p_value,
            "p_holm": self.p_holm,
            "verdict": self.verdict,
            "trials": list(self.num_trials),
            "coverage": f"{self.coverage}",
        }


def estimate_difference(trials: Sequence[Trial], outcome: str, arm: str, against: str) -> tuple[Estimate, Coverage]:
    """Mean outcome in `arm` minus mean in `against`; trials without the outcome are left out and counted."""
    pair = [trial for trial in trials if trial.arm in (arm, against)]
    known = [(trial, value) for trial in pair if (value := trial.outcome(outcome)) is not None]
    values = [value for _, value in known]
    is_treated = [trial.arm == arm for trial, _ in known]
    weights: list[float] | None = None
    if outcome == "share_valid":
        values = [float(trial.num_decided_valid) for trial, _ in known]
        weights = [float(trial.num_decided) for trial, _ in known]
    estimate = estimate_group_difference(
        values, is_treated, [t.labeller for t, _ in known], [t.answer for t, _ in known], weights=weights
    )
    missing = len(pair) - len(known)
    reasons = {"not judged yet" if outcome != "active_s" else "no time": missing} if missing else {}
    return drop_empty_interval(estimate), Coverage(len(known), len(pair), reasons)


def estimate_time_ratio(trials: Sequence[Trial], arm: str, against: str) -> Estimate:
    """Ratio of geometric mean seconds of work, arm over against."""
    pair = [trial for trial in trials if trial.arm in (arm, against) and trial.active_s]
    logs = [math.log(trial.active_s or 1.0) for trial in pair]
    difference = estimate_group_difference(
        logs, [t.arm == arm for t in pair], [t.labeller for t in pair], [t.answer for t in pair]
    )
    return _exponentiate(drop_empty_interval(difference), "ratio of geometric means, " + difference.method)


def estimate_rate_ratio(trials: Sequence[Trial], outcome: str, arm: str, against: str) -> Estimate:
    """Ratio of mean counts from a negative binomial regression on arm and kind of answer.

    The dispersion is the maximum-likelihood one (NB2), Poisson where the data are not over-dispersed. Standard errors
    are sandwich ones, clustered by labeller and by answer and joined by inclusion and exclusion, never below the larger
    single one; t with (fewest clusters - 1) degrees of freedom. Undefined where an arm has no flaws at all.
    Source: Cameron and Trivedi 2013, section 3.3; Cameron, Gelbach and Miller 2011, equation 2.13.
    """
    pair = [trial for trial in trials if trial.arm in (arm, against) and trial.outcome(outcome) is not None]
    counts = np.array([trial.outcome(outcome) or 0.0 for trial in pair])
    treated = np.array([trial.arm == arm for trial in pair], bool)
    labellers, answers = _codes([t.labeller for t in pair]), _codes([t.answer for t in pair])
    num_clusters = min(len(set(labellers.tolist())), len(set(answers.tolist()))) if pair else 0
    method = "negative binomial, sandwich by labeller and answer"
    if not pair or not treated.any() or treated.all() or not counts[treated].sum() or not counts[~treated].sum():
        return Estimate(None, num_clusters, method=method)
    kinds = sorted({trial.kind for trial in pair})
    columns = [np.ones(len(pair)), treated.astype(float)]
    columns += [np.array([float(trial.kind == kind) for trial in pair]) for kind in kinds[1:]]
    design = np.column_stack(columns)
    slope, variances = _fit_counts(counts, design, [labellers, answers, _codes(list(zip(labellers, answers)))])
    joint = variances[0] + variances[1] - variances[2]
    variance = max(joint, variances[0], variances[1])
    if num_clusters < 2 or not math.isfinite(variance):
        return Estimate(math.exp(slope), num_clusters, method=method)
    reach = float(scipy_stats.t.ppf((1 + CONFIDENCE) / 2, num_clusters - 1)) * math.sqrt(variance)
    difference = Estimate(slope, num_clusters, slope - reach, slope + reach)
    return _exponentiate(drop_empty_interval(difference), method)


def _fit_counts(counts: np.ndarray, design: np.ndarray, clusterings: Sequence[np.ndarray]) -> tuple[float, list[float]]:
    """The treatment's coefficient on the log scale, and its sandwich variance per clustering."""
    import statsmodels.api as sm
    from statsmodels.stats.sandwich_covariance import cov_cluster

    with warnings.catch_warnings():
        # a dispersion at its edge makes statsmodels warn; the fit below copes with it
        warnings.simplefilter("ignore")
        dispersion = _estimate_dispersion(counts, design)
        family = sm.families.NegativeBinomial(alpha=dispersion) if dispersion > 0 else sm.families.Poisson()
        fitted = sm.GLM(counts, design, family=family).fit()
    variances = [float(cov_cluster(fitted, codes, use_correction=True)[1, 1]) for codes in clusterings]
    return float(fitted.params[1]), variances


def _estimate_dispersion(counts: np.ndarray, design: np.ndarray) -> float:
    """NB2's alpha by maximum likelihood; 0 for Poisson, also where the likelihood has no maximum inside."""
    import statsmodels.api as sm

    fitted = sm.GLM(counts, design, family=sm.families.Poisson()).fit()
    excess = float((((counts - fitted.mu) ** 2 - counts) / fitted.mu).sum())
    if excess <= 0:
        return 0.0
    model = sm.NegativeBinomial(counts, design).fit(disp=0, maxiter=200, start_params=[*fitted.params, 0.5])
    alpha = float(model.params[-1])
    return alpha if model.mle_retvals["converged"] and 0 < alpha < 100 else 0.0


def run_tests(study: StudyData, *, seed: int, num_draws: int = 10_000) -> list[TestResult]:
    """Every hypothesis of the plan, with permutation p-values within the randomisation's blocks and Holm's correction."""
    rows = []
    for test in study.plan.hypotheses:
        trials = [trial for trial in study.trials if trial.kind in test.kinds]
        difference, coverage = estimate_difference(trials, test.outcome, test.arm, test.against)
        rows.append((test, trials, difference, coverage, permute(trials, test, seed=seed, num_draws=num_draws)))
    adjusted = correct_holm({test.name: p for test, *_, p in rows})
    return [
        TestResult(
            hypothesis=test,
            difference=difference,
            ratio=_estimate_ratio(trials, test),
            p_value=p_value,
            p_holm=adjusted[test.name],
            verdict=decide_verdict(difference, adjusted[test.name], alpha=study.plan.alpha, margin=test.margin),
            coverage=coverage,
            num_trials=(sum(t.arm == test.arm for t in trials), sum(t.arm == test.against for t in trials)),
        )
        for test, trials, difference, coverage, p_value in rows
    ]


def permute(trials: Sequence[Trial], test: Hypothesis, *, seed: int, num_draws: int) -> float:
    """p-value when arms are shuffled within each labeller's block of each kind of answer, as they were drawn."""
    pair = [
        trial for trial in trials if trial.arm in (test.arm, test.against) and trial.outcome(test.outcome) is not None
    ]
    if not pair:
        return 1.0
    strata = [(trial.labeller, trial.kind, trial.block) for trial in pair]
    values = [trial.outcome(test.outcome) or 0.0 for trial in pair]
    return permutation_p_value(values, [t.arm == test.arm for t in pair], strata, seed=seed, num_draws=num_draws)


def decide_verdict(difference: Estimate, p_holm: float, *, alpha: float, margin: float | None) -> str:
    """`higher`, `lower`, `tied` (the interval lies within the margin), `undecided`, or `n/a`.

    higher and lower need both the corrected test and the interval to say so.
    """
    if difference.value is None or difference.low is None or difference.high is None:
        return "n/a"
    if p_holm <= alpha and (difference.low > 0 or difference.high < 0):
        return "higher" if difference.low > 0 else "lower"
    if margin is not None and -margin < difference.low and difference.high < margin:
        return "tied"
    return "undecided"


def _estimate_ratio(trials: Sequence[Trial], test: Hypothesis) -> Estimate | None:
    if test.outcome in ("num_flaws", "num_serious", "num_valid"):
        return estimate_rate_ratio(trials, test.outcome, test.arm, test.against)
    return estimate_time_ratio(trials, test.arm, test.against) if test.outcome == "active_s" else None


def _codes(labels: Sequence[Any]) -> np.ndarray:
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], int)


def _exponentiate(estimate: Estimate, method: str) -> Estimate:
    if estimate.value is None:
        return Estimate(None, estimate.n, method=method)
    low = math.exp(estimate.low) if estimate.low is not None else None
    high = math.exp(estimate.high) if estimate.high is not None else None
    return Estimate(math.exp(estimate.value), estimate.n, low, high, method)
