"""Work time from server times."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.critique.study.timing import measure_work

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def at(*seconds: float) -> list[datetime]:
    return [START + timedelta(seconds=s) for s in seconds]


def test_a_long_pause_is_idle_and_the_rest_is_work() -> None:
    assert measure_work(at(0, 20, 50, 900, 930), idle_after_s=120) == (80.0, 850.0, 1)


def test_a_gap_of_exactly_the_limit_is_still_work() -> None:
    assert measure_work(at(0, 120), idle_after_s=120) == (120.0, 0.0, 0)


@pytest.mark.parametrize("seconds", [(), (5,)])
def test_one_sign_of_life_or_none_is_no_time(seconds: tuple[float, ...]) -> None:
    assert measure_work(at(*seconds), idle_after_s=120) == (0.0, 0.0, 0)


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=30))
def test_work_and_pauses_add_up_to_first_to_last(seconds: list[int]) -> None:
    work = measure_work(at(*seconds), idle_after_s=100)
    assert work.active_s + work.idle_s == max(seconds) - min(seconds)
