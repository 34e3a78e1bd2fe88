"""Mumbled speech: as long and as loud as speech, the same for the same words, and with one spectrum throughout."""

import numpy as np
import pytest

from vivavoce.data.example import MUMBLED_VOICE, Speech
from vivavoce.omni.configuration import MEL_BINS
from vivavoce.omni.layout import MEL_FLOOR
from vivavoce.omni.training.features import PreparedSounds
from vivavoce.omni.training.mumbling import muffle, mumble


def test_it_lasts_as_long_as_its_letters_and_pauses_between_words() -> None:
    short, long = mumble("how many balls"), mumble("how many balls are there in the picture?")
    # 12 and 32 letters of 65 ms, pauses of 30 ms, 50 ms at both ends
    assert len(short) == pytest.approx(12 * 6.5 + 3 * 3 + 10, abs=3)
    assert len(long) == pytest.approx(32 * 6.5 + 8 * 3 + 10, abs=8)
    assert short.shape[1] == MEL_BINS
    assert short.dtype == np.float32
    assert short.min() == np.float32(MEL_FLOOR)


def test_the_same_words_sound_the_same_and_no_sound_tells_words_apart() -> None:
    assert np.array_equal(mumble("a red ball"), mumble("a red ball"))
    mel = mumble("draw a green lamp and a blue umbrella on the left")
    loud = mel[(mel > MEL_FLOOR + 0.5).all(axis=1)]
    shapes = loud - loud.mean(axis=1, keepdims=True)
    # frames differ in how loud they are; what is left once that is taken away is the noise that was drawn
    assert shapes.std(axis=0).mean() == pytest.approx(0.15, abs=0.03)
    assert loud.mean(axis=1).std() > 0.2


def test_marks_alone_are_silence_and_nothing_is_looked_up() -> None:
    assert (mumble("...") <= MEL_FLOOR + 1.0).all()
    sounds = PreparedSounds()
    speech = Speech("what is two and two?", MUMBLED_VOICE)
    assert np.array_equal(sounds.user_mel(speech), mumble(speech.text))
    assert sounds.token_ends(speech) is None


def test_of_a_muffled_recording_the_loudness_of_each_frame_is_left_and_nothing_else() -> None:
    generator = np.random.default_rng(0)
    level = np.repeat([-1.0, 0.5, -0.4, 0.9], 50)
    mel = (level[:, None] + generator.normal(0, 0.4, (200, MEL_BINS))).astype(np.float32)
    mel[90:110] = MEL_FLOOR
    muffled = muffle(mel, np.random.default_rng(1))
    assert muffled.shape == mel.shape
    assert (muffled[90:110] == np.float32(MEL_FLOOR)).all()
    heard = np.delete(np.arange(200), np.arange(90, 110))
    assert np.corrcoef(muffled[heard].mean(axis=1), level[heard])[0, 1] > 0.99
    shapes = muffled[heard] - muffled[heard].mean(axis=1, keepdims=True)
    assert shapes.std(axis=0).mean() == pytest.approx(0.15, abs=0.03)
