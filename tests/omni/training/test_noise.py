"""A recording in another voice: bands move, silence and time stay."""

import numpy as np

from vivavoce.omni.configuration import MEL_BINS
from vivavoce.omni.layout import MEL_FLOOR
from vivavoce.omni.training.noise import VoiceChange, change_voice, draw_voice_change

FLAT = np.zeros(MEL_BINS, np.float32)


def test_bands_move_by_the_factor() -> None:
    mel = np.full((3, MEL_BINS), MEL_FLOOR, np.float32)
    mel[:, 40] = 1.0
    assert change_voice(mel, VoiceChange(1.25, FLAT)).argmax(1).tolist() == [32] * 3
    assert change_voice(mel, VoiceChange(0.8, FLAT)).argmax(1).tolist() == [50] * 3


def test_no_change_changes_nothing() -> None:
    mel = np.random.default_rng(0).normal(0, 1, (5, MEL_BINS)).clip(MEL_FLOOR).astype(np.float32)
    assert np.allclose(change_voice(mel, VoiceChange(1.0, FLAT)), mel)


def test_silence_stays_silent_and_the_floor_holds() -> None:
    generator = np.random.default_rng(1)
    silence = np.full((2, MEL_BINS), MEL_FLOOR, np.float32)
    loud = generator.normal(0, 1, (2, MEL_BINS)).clip(MEL_FLOOR).astype(np.float32)
    for _ in range(50):
        change = draw_voice_change(generator)
        assert np.exp(-0.15) <= change.warp <= np.exp(0.15)
        assert (change_voice(silence, change) == np.float32(MEL_FLOOR)).all()
        assert (change_voice(loud, change) >= np.float32(MEL_FLOOR)).all()
