"""Estimates with their intervals, tests, and agreement. Pure: numbers in, numbers out, no files, no torch.

Every estimate carries n and a 95% interval; what is undefined has value None and prints `n/a (n=1)`, never 0. Anything
random takes a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as scipy_stats

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its 95% interval [low, high], and the number of independent units behind it."""

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    method: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"n/a (n={self.n})"
        if self.low is None or self.high is None:
            return f"{self.value:.3g} (n={self.n})"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}] (n={self.n})"

    def to_json(self) -> dict[str, Any]:
        """`{"value", "n", "ci": [low, high] or null, "method"}`."""
        interval = None if self.low is None or self.high is None else [self.low, self.high]
        return {"value": self.value, "n": self.n, "ci": interval, "method": self.method}


def estimate_proportion(successes: int, n: int) -> Estimate:
    """A proportion with Wilson's score interval (Wilson 1927; Brown, Cai and DasGupta 2001)."""
    if n == 0:
        return Estimate(None, 0, method="wilson")
    interval = scipy_stats.binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(successes / n, n, float(interval.low), float(interval.high), "wilson")


def estimate_mean(values: ArrayLike, clusters: Sequence[Hashable] | None = None) -> Estimate:
    """A mean with a Student-t interval; with `clusters`, the cluster-robust one (n is then the number of clusters).

    The clustered standard error sums residuals within clusters, with the G/(G-1) correction and t on G-1 degrees of
    freedom (Liang and Zeger 1986; Miller 2024, arXiv 2411.00640, section 2.2).
    """
    return estimate_ratio(
        values, np.ones(np.size(values)), clusters, method="t" if clusters is None else "t, clustered"
    )


def estimate_ratio(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    *,
    method: str = "ratio, linearised t",
) -> Estimate:
    """Sum over sum (a word error rate: errors over words), linearised, one unit per item or per cluster."""
    top, bottom = np.asarray(numerators, float), np.asarray(denominators, float)
    if bottom.size == 0 or bottom.sum() == 0:
        return Estimate(None, 0, method=method)
    value = top.sum() / bottom.sum()
    residuals = _sum_by_cluster(top - value * bottom, clusters)
    units = len(residuals)
    if units < 2:
        return Estimate(float(value), units, method=method)
    standard_error = math.sqrt(units / (units - 1) * float(residuals @ residuals)) / bottom.sum()
    reach = float(scipy_stats.t.ppf((1 + CONFIDENCE) / 2, units - 1)) * standard_error
    return Estimate(float(value), units, float(value - reach), float(value + reach), method)


def estimate_difference(a: ArrayLike, b: ArrayLike, clusters: Sequence[Hashable] | None = None) -> Estimate:
    """Mean of the paired differences a - b, optionally clustered."""
    left, right = np.asarray(a, float), np.asarray(b, float)
    if left.shape != right.shape:
        raise ValueError(f"paired samples have {left.size} and {right.size} items; need the same items in one order")
    return estimate_mean(left - right, clusters)


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    n: int,
    *,
    seed: int,
    clusters: Sequence[Hashable] | None = None,
    num_draws: int = 2000,
) -> Estimate:
    """`statistic` of all item indices, with the percentile interval over resampled items or whole clusters.

    statistic: takes an index array (with repeats) and returns a number; NaN where it is undefined. Draws where it is
    undefined are left out; the estimate has no interval if more than 5% are.
    Source: Efron 1979; clusters are drawn whole (Field and Welsh 2007).
    """
    members = _group_indices(n, clusters)
    method = f"bootstrap {num_draws}" + ("" if clusters is None else ", clustered")
    if n == 0:
        return Estimate(None, 0, method=method)
    value = float(statistic(np.arange(n)))
    if math.isnan(value):
        return Estimate(None, len(members), method=method)
    generator = np.random.default_rng(seed)
    draws = np.array(
        [
            statistic(np.concatenate([members[idx] for idx in generator.integers(len(members), size=len(members))]))
            for _ in range(num_draws)
        ]
    )
    defined = draws[~np.isnan(draws)]
    if len(members) < 2 or len(defined) < 0.95 * num_draws:
        return Estimate(value, len(members), method=method)
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, len(members), float(low), float(high), method)


def estimate_quantile(values: ArrayLike, probability: float) -> Estimate:
    """A quantile with the distribution-free interval from order statistics (Hahn and Meeker 1991, section 5.2)."""
    ordered = np.sort(np.asarray(values, float))
    n = len(ordered)
    if n == 0:
        return Estimate(None, 0, method="order statistics")
    value = float(np.quantile(ordered, probability))
    low_idx = int(scipy_stats.binom.ppf((1 - CONFIDENCE) / 2, n, probability)) - 1
    high_idx = int(scipy_stats.binom.ppf((1 + CONFIDENCE) / 2, n, probability))
    if low_idx < 0 or high_idx >= n:
        return Estimate(value, n, method="order statistics")
    return Estimate(value, n, float(ordered[low_idx]), float(ordered[high_idx]), "order statistics")


def estimate_auroc(scores: ArrayLike, labels: ArrayLike) -> Estimate:
    """Area under the ROC curve with DeLong's interval (DeLong, DeLong and Clarke-Pearson 1988). n counts all items."""
    values, truth = np.asarray(scores, float), np.asarray(labels, bool)
    positives, negatives = values[truth], values[~truth]
    if len(positives) == 0 or len(negatives) == 0:
        return Estimate(None, len(values), method="delong")
    ranks = scipy_stats.rankdata(np.concatenate([positives, negatives]))
    within_positive, within_negative = scipy_stats.rankdata(positives), scipy_stats.rankdata(negatives)
    above = (ranks[: len(positives)] - within_positive) / len(negatives)
    below = 1 - (ranks[len(positives) :] - within_negative) / len(positives)
    value = float(above.mean())
    if min(len(positives), len(negatives)) < 2:
        return Estimate(value, len(values), method="delong")
    reach = 1.959964 * math.sqrt(above.var(ddof=1) / len(positives) + below.var(ddof=1) / len(negatives))
    return Estimate(value, len(values), max(0.0, value - reach), min(1.0, value + reach), "delong")


def find_equal_error(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """(equal error rate, threshold): where false accepts and false rejects are closest; accept when score >= threshold."""
    values, truth = np.asarray(scores, float), np.asarray(labels, bool)
    if truth.all() or not truth.any():
        return math.nan, math.nan
    thresholds = np.unique(values)
    accepts = values[None, :] >= thresholds[:, None]
    false_accept = accepts[:, ~truth].mean(axis=1)
    false_reject = 1 - accepts[:, truth].mean(axis=1)
    best = int(np.argmin(np.abs(false_accept - false_reject)))
    return float((false_accept[best] + false_reject[best]) / 2), float(thresholds[best])


def mcnemar_p_value(a: ArrayLike, b: ArrayLike) -> float:
    """Exact two-sided p-value that paired yes/no outcomes differ (McNemar 1947, binomial form)."""
    left, right = np.asarray(a, bool), np.asarray(b, bool)
    only_left, only_right = int((left & ~right).sum()), int((~left & right).sum())
    if only_left + only_right == 0:
        return 1.0
    return float(scipy_stats.binomtest(only_left, only_left + only_right).pvalue)


def sign_flip_p_value(
    differences: ArrayLike, *, seed: int, clusters: Sequence[Hashable] | None = None, num_draws: int = 10_000
) -> float:
    """Two-sided p-value of paired differences, flipping the sign of items or whole clusters; exact up to 2^14 flips.

    The observed labelling counts among the draws, so that p is never 0 (Phipson and Smyth 2010).
    """
    sums = _sum_by_cluster(np.asarray(differences, float), clusters)
    observed = abs(sums.sum())
    tolerance = 1e-12 * max(1.0, float(np.abs(sums).sum()))
    if len(sums) <= 14:
        signs = 1 - 2 * ((np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1)
        return float((np.abs(signs @ sums) >= observed - tolerance).mean())
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(num_draws, len(sums)))
    return float((1 + (np.abs(signs @ sums) >= observed - tolerance).sum()) / (num_draws + 1))


def correct_holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjusted p-values (Holm 1979), in the order given."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    adjusted, running = dict[str, float](), 0.0
    for rank, name in enumerate(ordered):
        running = max(running, min(1.0, (len(ordered) - rank) * p_values[name]))
        adjusted[name] = running
    return {name: adjusted[name] for name in p_values}


def measure_kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> float | None:
    """Cohen's kappa of two raters (Cohen 1960); None when chance agreement is total."""
    if len(a) != len(b):
        raise ValueError(f"raters gave {len(a)} and {len(b)} labels; need the same items in one order")
    if not a:
        return None
    labels = sorted({*a, *b}, key=repr)
    observed = sum(x == y for x, y in zip(a, b)) / len(a)
    expected = sum(a.count(label) * b.count(label) for label in labels) / len(a) ** 2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def measure_alpha(ratings: Sequence[Mapping[Hashable, float]], *, is_nominal: bool = True) -> float | None:
    """Krippendorff's alpha (2011) of items rated by any raters ({rater: value} each); None when undefined.

    Nominal distance is 0 or 1, interval distance the squared difference.
    """
    items = [list(item.values()) for item in ratings if len(item) >= 2]
    pooled = [value for item in items for value in item]
    if len(pooled) < 2:
        return None

    def distance(x: float, y: float) -> float:
        return float(x != y) if is_nominal else (x - y) ** 2

    observed = sum(sum(distance(x, y) for x in item for y in item) / (len(item) - 1) for item in items) / len(pooled)
    counts: dict[float, int] = {}
    for value in pooled:
        counts[value] = counts.get(value, 0) + 1
    pairs = sum(cx * cy * distance(x, y) for x, cx in counts.items() for y, cy in counts.items())
    expected = pairs / (len(pooled) * (len(pooled) - 1))
    return None if expected == 0 else 1 - observed / expected


def _group_indices(n: int, clusters: Sequence[Hashable] | None) -> list[np.ndarray]:
    if clusters is None:
        return [np.array([idx]) for idx in range(n)]
    if len(clusters) != n:
        raise ValueError(f"{len(clusters)} cluster labels for {n} items; need one each")
    groups: dict[Hashable, list[int]] = {}
    for idx, cluster in enumerate(clusters):
        groups.setdefault(cluster, []).append(idx)
    return [np.array(group) for group in groups.values()]


def _sum_by_cluster(values: np.ndarray, clusters: Sequence[Hashable] | None) -> np.ndarray:
    if clusters is None:
        return values
    return np.array([values[group].sum() for group in _group_indices(len(values), clusters)])
