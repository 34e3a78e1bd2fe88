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


def test_pace_moves_everything_in_time() -> None:
    mel = np.full((100, MEL_BINS), MEL_FLOOR, np.float32)
    mel[60] = 1.0
    faster, slower = (change_voice(mel, VoiceChange(1.0, FLAT, pace)) for pace in (1.25, 0.8))
    assert (len(faster), len(slower)) == (80, 125)
    assert (faster[:, 0].argmax(), slower[:, 0].argmax()) == (48, 75)


def test_missing_bands_are_silent_and_the_others_stay() -> None:
    mel = np.random.default_rng(0).normal(0, 1, (5, MEL_BINS)).clip(MEL_FLOOR).astype(np.float32)
    changed = change_voice(mel, VoiceChange(1.0, FLAT, 1.0, ((10, 13), (70, 80))))
    gap = np.r_[10:13, 70:80]
    assert (changed[:, gap] == np.float32(MEL_FLOOR)).all()
    assert np.allclose(np.delete(changed, gap, 1), np.delete(mel, gap, 1))


def test_silence_stays_silent_and_the_floor_holds() -> None:
    generator = np.random.default_rng(1)
    silence = np.full((2, MEL_BINS), MEL_FLOOR, np.float32)
    loud = generator.normal(0, 1, (2, MEL_BINS)).clip(MEL_FLOOR).astype(np.float32)
    for _ in range(50):
        change = draw_voice_change(generator)
        assert np.exp(-0.15) <= change.warp <= np.exp(0.15)
        assert np.exp(-0.2) <= change.pace <= np.exp(0.2)
        assert all(0 <= first < stop <= MEL_BINS for first, stop in change.missing)
        assert (change_voice(silence, change) == np.float32(MEL_FLOOR)).all()
        assert (change_voice(loud, change) >= np.float32(MEL_FLOOR)).all()
