"""The sweep over biases: known margins give known counts, and the margins are those of the steps the user is heard on."""

import numpy as np
import pytest
import torch

from vivavoce.data.example import OwnSpan, Speech, UserSpan
from vivavoce.data.live import make_live
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.evals.turns import PATIENCE_STEPS, Onsets, measure_onsets, put_off, sweep
from vivavoce.omni.layout import RowWriter
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.training.pictures import PictureCodes
from vivavoce.omni.training.rows import RowMaker
from vivavoce.omni.vocabulary import train_vocabulary


class ToneSounds:
    """A third of a second a word, without noise."""

    def user_mel(self, what) -> np.ndarray:
        return np.ones((30 * (len(what.text.split()) if isinstance(what, Speech) else 4), 80), np.float32)

    def token_ends(self, what) -> None:
        del what

    def misheard(self, what) -> None:
        del what

    def own_codes(self, speech: Speech) -> np.ndarray:
        return np.zeros((20, 4), np.int64)

    def own_word_starts(self, speech: Speech) -> None:
        return None


def test_the_first_step_past_the_bias_counts_and_before_the_end_it_is_a_false_start() -> None:
    talks = [
        Onsets(np.array([-9.0, -9.0, -9.0, 0.5, 3.0]), due=3),
        Onsets(np.array([-9.0, -0.5, -9.0, -0.4, 3.0]), due=3),
        Onsets(np.array([-9.0, -9.0, -9.0, -9.0, -9.0]), due=2),
    ]
    none, some = sweep(talks, (0.0, 1.0))
    assert (none.num_false, none.waits_ms) == (0, (80.0, 160.0))
    assert (some.num_false, some.waits_ms) == (1, (80.0,))
    report = none.to_json()
    assert (report["false_start_rate"]["value"], report["answer_rate"]["value"]) == (0.0, pytest.approx(2 / 3))
    assert some.to_json()["answer_rate"]["n"] == 2


def test_the_answer_is_put_off_and_nothing_follows_it() -> None:
    for idx in range(20):
        live = make_live("train", np.random.default_rng(idx), "e", "barge_in")
        late = put_off(live)
        assert late is not None
        assert late.timeline is not None
        assert live.timeline is not None
        *before, own = late.timeline.events
        assert before == list(live.timeline.events[: len(before)])
        assert isinstance(own, OwnSpan)
        assert own.onset_frames == PATIENCE_STEPS
        assert all(isinstance(event, UserSpan) for event in before)
    assert put_off(make_live("train", np.random.default_rng(0), "e", "nobody")) is None


def test_margins_reach_from_the_first_step_to_the_end_of_patience() -> None:
    words = train_vocabulary(["how many balls are there?", "late"] * 30, num_text_ids=320, num_image_codes=20)
    torch.manual_seed(0)
    model = OmniForConversation(make_tiny())
    rows = RowMaker(RowWriter(words, make_tiny()), ToneSounds(), PictureCodes(None))
    talks = [make_live("train", np.random.default_rng(idx), "e", "pause") for idx in range(5)]
    found = measure_onsets(model, rows, talks)
    assert len(found) == 5
    for onsets in found:
        assert len(onsets.margins) == onsets.due + PATIENCE_STEPS - 1
        assert np.isfinite(onsets.margins).all()
    with torch.no_grad():
        model.turn_out.bias.add_(torch.tensor([0.0, 100.0, 0.0]))
    assert all((talk.margins > 50).all() for talk in measure_onsets(model, rows, talks))
