"""When the model's own words are written: before their sound, in order, one a step."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.errors import DataError
from vivavoce.omni.layout import WORD_LEAD_STEPS, LiveTrack, place_words


def test_each_word_is_written_shortly_before_its_sound_begins() -> None:
    # 0.8 s is step 10, 1.6 s step 20; the first word is written at once
    assert WORD_LEAD_STEPS == 2
    assert place_words([1, 2, 1], np.array([0.0, 0.8, 1.6]), 30) == [0, 8, 9, 18]


def test_a_word_of_many_tokens_pushes_the_next_one_back() -> None:
    assert place_words([4, 1], np.array([0.0, 0.1]), 20) == [0, 1, 2, 3, 4]


def test_the_last_words_make_room_for_themselves_at_the_end() -> None:
    assert place_words([1, 3], np.array([0.0, 0.8]), 9) == [0, 6, 7, 8]


@pytest.mark.parametrize("starts", [None, np.array([0.0, 0.5, 1.0])])
def test_unknown_beginnings_give_one_token_a_step(starts: np.ndarray | None) -> None:
    assert place_words([1, 2], starts, 10) == [0, 1, 2]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.floats(0, 3)), min_size=1, max_size=10),
    st.integers(0, 20),
)
def test_words_keep_their_order_and_fit(words: list[tuple[int, float]], slack: int) -> None:
    counts = [count for count, _ in words]
    starts = np.concatenate([[0.0], np.sort([start for _, start in words])[1:]])
    num_steps = sum(counts) + slack
    steps = place_words(counts, starts, num_steps)
    assert len(steps) == sum(counts)
    assert steps[0] == 0
    assert all(later > earlier for earlier, later in itertools.pairwise(steps))
    assert steps[-1] < num_steps


def test_a_track_writes_the_words_where_they_belong() -> None:
    track = LiveTrack(None, 20, 4)
    track.speak(3, [40, 41, 42], np.zeros((9, 4), np.int64), [0, 4, 8])
    assert np.flatnonzero(track.text).tolist() == [3, 7, 11]
    assert track.text[[3, 7, 11]].tolist() == [40, 41, 42]


def test_what_is_cut_short_loses_the_words_after_the_cut() -> None:
    track = LiveTrack(None, 20, 4)
    track.speak(3, [40, 41, 42], np.zeros((9, 4), np.int64), [0, 4, 8], stop=8)
    assert np.flatnonzero(track.text).tolist() == [3, 7]


def test_more_words_than_steps_are_refused() -> None:
    with pytest.raises(DataError, match="4 text tokens in 3 steps"):
        LiveTrack(None, 20, 4).speak(0, [40, 41, 42, 43], np.zeros((3, 4), np.int64))
