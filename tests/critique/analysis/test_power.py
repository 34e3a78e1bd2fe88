"""Sizes against the numbers that the reference works out by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from vivavoce.critique.analysis import power
from vivavoce.errors import ConfigError


@pytest.mark.parametrize(("wanted", "size"), [(0.8, 111), (0.9, 148)])
def test_intended_flaws_need_the_known_sizes(wanted: float, size: int) -> None:
    assert math.ceil(power.size_for_proportions(0.27, 0.45, power=wanted)) == size


def test_ten_answers_per_labeller_need_161() -> None:
    exact = power.size_for_proportions(0.27, 0.45)
    assert power.plan_size(exact, per_labeller=10, icc=0.05) == (111, pytest.approx(1.45), 161)


def test_flaw_counts_need_79_and_twice_that_when_the_variance_is_twice_the_mean() -> None:
    poisson = power.size_for_counts(1.0, 1.5)
    assert poisson == pytest.approx(78.5, abs=0.05)
    assert math.ceil(poisson) == 79
    assert math.ceil(power.size_for_counts(1.0, 1.5, dispersion=2.0)) == 157


def test_power_is_the_inverse_of_size() -> None:
    assert power.power_for_proportions(0.27, 0.45, power.size_for_proportions(0.27, 0.45)) == pytest.approx(0.8)
    assert power.power_for_counts(1.0, 1.5, power.size_for_counts(1.0, 1.5)) == pytest.approx(0.8)
    assert power.power_for_proportions(0.27, 0.45, 0) == 0.0


def test_the_size_for_proportions_gives_its_power_by_trial() -> None:
    generator = np.random.default_rng(0)
    low, high = generator.binomial(111, 0.27, 4000) / 111, generator.binomial(111, 0.45, 4000) / 111
    mean = (low + high) / 2
    z = (high - low) / np.sqrt(2 * mean * (1 - mean) / 111)
    assert (z > 1.96).mean() == pytest.approx(0.8, abs=0.025)


@pytest.mark.parametrize(
    "call",
    [
        lambda: power.size_for_proportions(0.3, 0.3),
        lambda: power.size_for_counts(0.0, 1.0),
        lambda: power.measure_design_effect(0, 0.1),
    ],
)
def test_what_has_no_size_is_refused(call: Callable[[], float]) -> None:
    with pytest.raises(ConfigError, match="need"):
        call()
