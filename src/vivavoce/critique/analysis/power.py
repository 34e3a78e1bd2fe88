"""How large a study must be, and what a study of some size can show. Closed forms; pure.

Two arms, two-sided, equal sizes. A design effect for several answers per labeller is applied to the sizes. It is a
careful one here: every labeller works in every arm, which takes out much of what labellers differ by.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.stats import norm

from vivavoce.errors import ConfigError


class Size(NamedTuple):
    """Answers per arm: if they were independent, the design effect, and with it."""

    independent: int
    design_effect: float
    clustered: int


def measure_design_effect(per_labeller: float, icc: float) -> float:
    """1 + (m - 1) ICC for m answers per labeller in the two arms together (Kish 1965).

    Raises: ConfigError if m is below 1 or the ICC outside 0 to 1.
    """
    if per_labeller < 1 or not 0 <= icc <= 1:
        raise ConfigError(f"{per_labeller} answers per labeller and ICC {icc}; need 1 or more, and 0 to 1")
    return 1 + (per_labeller - 1) * icc


def size_for_proportions(p1: float, p2: float, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Answers per arm to tell two proportions apart, not rounded (Fleiss, Levin and Paik 2003, equation 4.14).

    Raises: ConfigError if the proportions are equal or outside 0 to 1.
    """
    if not (0 < p1 < 1 and 0 < p2 < 1) or p1 == p2:
        raise ConfigError(f"proportions are {p1} and {p2}; need two different numbers between 0 and 1")
    mean = (p1 + p2) / 2
    reach = _z(1 - alpha / 2) * math.sqrt(2 * mean * (1 - mean)) + _z(power) * math.sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    return (reach / (p1 - p2)) ** 2


def size_for_counts(
    rate1: float, rate2: float, *, dispersion: float = 1.0, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Answers per arm to tell two mean counts apart, not rounded; dispersion is variance over mean, 1 for Poisson.

    Raises: ConfigError if the rates are equal or anything is not positive.
    """
    if min(rate1, rate2, dispersion) <= 0 or rate1 == rate2:
        raise ConfigError(f"rates are {rate1} and {rate2}, dispersion {dispersion}; need two different positive rates")
    reach = _z(1 - alpha / 2) + _z(power)
    return reach**2 * dispersion * (rate1 + rate2) / (rate1 - rate2) ** 2


def power_for_proportions(p1: float, p2: float, per_arm: float, *, alpha: float = 0.05) -> float:
    """The power that `per_arm` independent answers give: the inverse of `size_for_proportions`."""
    if per_arm <= 0:
        return 0.0
    mean = (p1 + p2) / 2
    spread = math.sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    shift = abs(p1 - p2) * math.sqrt(per_arm) - _z(1 - alpha / 2) * math.sqrt(2 * mean * (1 - mean))
    return float(norm.cdf(shift / spread))


def power_for_counts(
    rate1: float, rate2: float, per_arm: float, *, dispersion: float = 1.0, alpha: float = 0.05
) -> float:
    """The power that `per_arm` independent answers give: the inverse of `size_for_counts`."""
    if per_arm <= 0:
        return 0.0
    shift = abs(rate1 - rate2) * math.sqrt(per_arm / (dispersion * (rate1 + rate2)))
    return float(norm.cdf(shift - _z(1 - alpha / 2)))


def plan_size(independent: float, *, per_labeller: float, icc: float) -> Size:
    """A size rounded up, and the clustered one that matches it."""
    effect = measure_design_effect(per_labeller, icc)
    whole = math.ceil(independent)
    # rounded up after the design effect is applied to whole answers, as a study is run
    return Size(whole, effect, math.ceil(whole * effect))


def _z(probability: float) -> float:
    return float(norm.ppf(probability))
