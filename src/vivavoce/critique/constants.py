"""Intervals of estimates that did not vary: resampling what was always the same gives a width of 0, which says too much."""

from __future__ import annotations

from vivavoce.stats import Estimate, estimate_proportion


def widen_constant(estimate: Estimate, low: float, high: float, *, units: int | None = None) -> Estimate:
    """The estimate as it is, unless its interval has no width: then the one that unseen units allow.

    low, high: the least and the greatest value that one unit can have, and so the mean. units: independent units that
    could have varied; `estimate.n` when not given. None of them departed from the value, so at most the share p of all
    units departs (Wilson's upper end for 0 of `units`), and at most as far as the bounds: from value - p (value - low) to
    value + p (high - value). For a share of 0 or 1 this is Wilson's interval. Without units there is no interval.
    """
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate
    if estimate.high - estimate.low > 1e-9:  # not 0: quotients that should be equal differ in their last bits
        return estimate
    upper = estimate_proportion(0, estimate.n if units is None else units).high
    if upper is None:
        return Estimate(estimate.value, estimate.n, method=estimate.method)
    below, above = upper * (estimate.value - low), upper * (high - estimate.value)
    return Estimate(
        estimate.value, estimate.n, estimate.value - below, estimate.value + above, "wilson, nothing varied"
    )
