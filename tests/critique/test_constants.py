"""No estimate of the room has an interval of no width: against Wilson's, by hand, and wherever something can be constant."""

from __future__ import annotations

import numpy as np
import pytest

from vivavoce.critique.constants import widen_constant
from vivavoce.critique.gdc.definitions import (
    Pairs,
    Selection,
    Verdicts,
    measure_conditional,
    measure_generator,
    measure_pairs,
    measure_selection,
)
from vivavoce.stats import Estimate, estimate_proportion

UPPER_OF_10 = 3.8415 / 13.8415  # z^2 / (n + z^2)
PASSAGES = list("abcdefghij")


@pytest.mark.parametrize("num_right", [0, 10])
def test_a_share_that_was_always_the_same_has_wilsons_interval(num_right: int) -> None:
    share = num_right / 10
    found, wilson = widen_constant(Estimate(share, 10, share, share), 0, 1), estimate_proportion(num_right, 10)
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high))


def test_a_difference_that_was_always_nothing_may_be_a_little_of_either_sign() -> None:
    found = widen_constant(Estimate(0.0, 10, 0.0, 0.0), -1, 1)
    assert (found.value, found.n) == (0.0, 10)
    assert (found.low, found.high) == pytest.approx((-UPPER_OF_10, UPPER_OF_10), abs=1e-4)


def test_what_varied_or_is_undefined_stays_as_it_is() -> None:
    for estimate in (Estimate(0.5, 9, 0.4, 0.6, "t"), Estimate(None, 0), Estimate(0.5, 1)):
        assert widen_constant(estimate, 0, 1) is estimate


def test_rounding_in_the_last_bit_is_no_variation_and_no_units_are_no_interval() -> None:
    noisy = Estimate(1.0, 10, 1 - 2e-16, 1.0)
    assert widen_constant(noisy, -1, 1).low == pytest.approx(1 - 2 * UPPER_OF_10, abs=1e-4)
    assert widen_constant(noisy, -1, 1, units=0).low is None


def test_no_gap_is_certain_because_nothing_varied() -> None:
    told, silent = np.tile([0.0, 1.0], (10, 1)), np.zeros((10, 2))
    selection = Selection(np.tile([1.0, 0.0], (10, 1)), told, silent, PASSAGES)
    pairs = Pairs(np.ones(10), np.zeros(10), np.zeros(10), np.zeros(10), PASSAGES)
    verdicts = Verdicts(np.ones(10), np.ones(10), np.zeros(10), PASSAGES)
    found = {
        "generator": measure_generator(Selection(np.ones((10, 2)), told, silent, PASSAGES), seed=0),
        **measure_selection(selection, seed=0),
        **{f"pairs {name}": value for name, value in measure_pairs(pairs, seed=0).items()},
        **{f"conditional {name}": value for name, value in measure_conditional(verdicts, seed=0).items()},
    }
    for name, value in found.items():
        assert value.low is not None, name
        assert value.high is not None, name
        assert value.high - value.low > 0.25, name
    assert found["critique"].high == pytest.approx(UPPER_OF_10, abs=1e-4)
    assert (found["CD"].value, found["CD"].high) == (1.0, pytest.approx(1 + UPPER_OF_10, abs=1e-4))


def test_only_passages_with_room_to_choose_count_as_units() -> None:
    quality = np.array([[1.0, 0.0]] * 10 + [[1.0, 1.0]] * 90)
    names = [f"p{number}" for number in range(100)]
    found = measure_selection(Selection(quality, np.zeros((100, 2)), np.zeros((100, 2)), names), seed=0)
    assert found["discriminator"].n == 100
    assert found["discriminator"].high == pytest.approx(UPPER_OF_10, abs=1e-4)
