"""Estimates with their intervals, tests, and agreement. Pure: numbers in, numbers out, no files, no torch.

Every estimate carries n and a 95% interval; what is undefined has value None and prints `n/a (n=1)`, never 0. Anything
random takes a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
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


def estimate_clustered_proportion(values: ArrayLike, clusters: Sequence[Hashable]) -> Estimate:
    """A proportion of 0s and 1s that come in clusters, with Wilson's interval at the effective sample size.

    The design effect is the clustered over the simple variance, at least 1 and at most what leaves one unit a cluster; it
    is taken as the latter where all values are equal, so that ten voices on 100 prompts is n = 100. n counts clusters.
    Source: Korn and Graubard 1998, with Wilson's interval for Clopper and Pearson's; Dean and Pavlou 2015.
    """
    outcomes = np.asarray(values, float)
    total, method = len(outcomes), "wilson, clustered"
    if total == 0:
        return Estimate(None, 0, method=method)
    proportion = float(outcomes.mean())
    sums = _sum_by_cluster(outcomes - proportion, clusters)
    units = len(sums)
    simple = proportion * (1 - proportion) / total
    effective = float(units)
    if units > 1 and simple > 0:
        clustered = units / (units - 1) * float(sums @ sums) / total**2
        effective = min(float(total), max(float(units), total * simple / clustered)) if clustered > 0 else float(total)
    z_squared = float(scipy_stats.norm.ppf((1 + CONFIDENCE) / 2)) ** 2
    centre = (proportion + z_squared / (2 * effective)) / (1 + z_squared / effective)
    spread = proportion * (1 - proportion) / effective + z_squared / (4 * effective**2)
    reach = math.sqrt(z_squared * spread) / (1 + z_squared / effective)
    return Estimate(proportion, units, max(0.0, centre - reach), min(1.0, centre + reach), method)


def estimate_mean(values: ArrayLike, clusters: Sequence[Hashable] | None = None) -> Estimate:
    """A mean with a Student-t interval; with `clusters`, the cluster-robust one (n is then the number of clusters).

    The clustered standard error sums residuals within clusters, with the G/(G-1) correction and t on G-1 degrees of
    freedom (Liang and Zeger 1986; Miller 2024, arXiv 2411.00640, section 2.2).
    """
    return estimate_ratio(
        values, np.ones(np.size(values)), clusters, method="t" if clusters is None else "t, clustered"
    )


def estimate_count(counts: ArrayLike, clusters: Sequence[Hashable]) -> Estimate:
    """A mean count per item, clustered as `estimate_mean`, its interval ending at 0.

    Where the clusters agree to the last count, the t interval has no width though little may have been seen: then the exact
    Poisson one of the total (Garwood 1936). n counts clusters.
    """
    values = np.asarray(counts, float)
    estimate = estimate_mean(values, clusters)
    if estimate.low is None or estimate.high is None:
        return estimate
    if estimate.high > estimate.low:
        return Estimate(estimate.value, estimate.n, max(0.0, estimate.low), estimate.high, estimate.method)
    total, tail = float(values.sum()), (1 - CONFIDENCE) / 2
    low = float(scipy_stats.chi2.ppf(tail, 2 * total)) / 2 if total else 0.0
    high = float(scipy_stats.chi2.ppf(1 - tail, 2 * total + 2)) / 2
    return Estimate(estimate.value, estimate.n, low / values.size, high / values.size, "poisson, exact")


def drop_empty_interval(estimate: Estimate) -> Estimate:
    """The estimate without an interval of no width: that nothing varied in what was seen does not make it certain."""
    if estimate.low is None or estimate.high is None or estimate.high > estimate.low:
        return estimate
    return Estimate(estimate.value, estimate.n, method=estimate.method)


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


def estimate_group_difference(
    values: ArrayLike,
    is_treated: ArrayLike,
    *clusterings: Sequence[Hashable],
    weights: ArrayLike | None = None,
) -> Estimate:
    """Mean of the treated minus mean of the others, with an interval that allows for crossed clusters.

    weights: with them the means are sum(values) / sum(weights), as for a share of counts. clusterings: any number of
    labellings of the items, such as labeller and answer. n is the number of clusters of the coarsest labelling, or of
    items without any.
    The variance of one labelling is the jackknife that leaves out whole clusters (CR3; MacKinnon, Nielsen and Webb
    2023, section 4); two or more combine by inclusion and exclusion (Cameron, Gelbach and Miller 2011, equation 2.13),
    but never to less than the largest single one. t with (fewest clusters - 1) degrees of freedom.
    """
    top, treated = np.asarray(values, float), np.asarray(is_treated, bool)
    bottom = np.ones(top.size) if weights is None else np.asarray(weights, float)
    labellings = [list(labels) for labels in clusterings] or [list(range(top.size))]
    units = min((len(set(labels)) for labels in labellings), default=0)
    method = "difference, jackknife t" + (f", {len(clusterings)} clusterings" if clusterings else "")
    value = _group_difference(top, bottom, treated)
    if math.isnan(value) or units < 2:
        return Estimate(None if math.isnan(value) else value, units, method=method)
    crossed = [
        list(zip(*subset)) for size in range(2, len(labellings) + 1) for subset in combinations(labellings, size)
    ]
    singles = [_jackknife_variance(top, bottom, treated, labels) for labels in labellings]
    signs = [(-1) ** (size + 1) for size in range(2, len(labellings) + 1) for _ in combinations(labellings, size)]
    joint = sum(sign * _jackknife_variance(top, bottom, treated, labels) for sign, labels in zip(signs, crossed))
    variance = max(sum(singles) + joint, *singles) if len(singles) > 1 else singles[0]
    if math.isnan(variance):
        return Estimate(value, units, method=method)
    reach = float(scipy_stats.t.ppf((1 + CONFIDENCE) / 2, units - 1)) * math.sqrt(variance)
    return Estimate(value, units, value - reach, value + reach, method)


def permutation_p_value(
    values: ArrayLike, is_treated: ArrayLike, strata: Sequence[Hashable], *, seed: int, num_draws: int = 10_000
) -> float:
    """Two-sided p-value of a difference in means when treatment was shuffled within strata (Fisher 1935).

    Exact for blocked randomisation when strata are its blocks. The observed labelling counts among the draws, so that p
    is never 0 (Phipson and Smyth 2010). 1 if no stratum holds both.
    """
    top, treated = np.asarray(values, float), np.asarray(is_treated, bool)
    if treated.all() or not treated.any():
        return 1.0
    generator = np.random.default_rng(seed)
    # the groups' sizes are fixed, so the difference in means is a line in the treated sum
    sums = np.zeros(num_draws)
    for group in _group_indices(top.size, strata):
        count = int(treated[group].sum())
        if count in (0, len(group)):
            sums += top[group][treated[group]].sum()
            continue
        order = generator.random((num_draws, len(group))).argsort(axis=1)[:, :count]
        sums += top[group][order].sum(axis=1)
    centre = top.sum() * treated.mean()
    distance = np.abs(sums - centre)
    observed = abs(top[treated].sum() - centre)
    return float((1 + (distance >= observed - 1e-9 * max(1.0, observed)).sum()) / (num_draws + 1))


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


def _group_difference(top: np.ndarray, bottom: np.ndarray, treated: np.ndarray) -> float:
    inside, outside = bottom[treated].sum(), bottom[~treated].sum()
    if inside == 0 or outside == 0:
        return math.nan
    return float(top[treated].sum() / inside - top[~treated].sum() / outside)


def _jackknife_variance(top: np.ndarray, bottom: np.ndarray, treated: np.ndarray, labels: Sequence[Hashable]) -> float:
    """Of the group difference, leaving out one cluster at a time; NaN if a group lives in a single cluster."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    codes, count = np.array([numbers[label] for label in labels]), len(numbers)
    sums = [
        np.bincount(codes[side], weights=part[side], minlength=count)
        for side in (treated, ~treated)
        for part in (top, bottom)
    ]
    top_in, bottom_in, top_out, bottom_out = sums
    left_in, left_out = bottom_in.sum() - bottom_in, bottom_out.sum() - bottom_out
    if (left_in <= 0).any() or (left_out <= 0).any():
        return math.nan
    values = (top_in.sum() - top_in) / left_in - (top_out.sum() - top_out) / left_out
    whole = top_in.sum() / bottom_in.sum() - top_out.sum() / bottom_out.sum()
    return float((count - 1) / count * ((values - whole) ** 2).sum())
