"""A recording in another voice: bands move, silence and time stay."""

import numpy as np
import pytest

from vivavoce.omni.configuration import MEL_BINS
from vivavoce.omni.layout import LOG_POWER, MEL_FLOOR
from vivavoce.omni.training.noise import (
    Room,
    VoiceChange,
    change_voice,
    draw_room,
    draw_voice_change,
    lose_moments,
    put_in_room,
)

FLAT = np.zeros(MEL_BINS, np.float32)


def test_bands_move_by_the_factor() -> None:
    mel = np.full((3, MEL_BINS), MEL_FLOOR, np.float32)
    mel[:, 40] = 1.0
    assert change_voice(mel, VoiceChange(1.25, FLAT)).argmax(1).tolist() == [32] * 3
    assert change_voice(mel, VoiceChange(0.8, FLAT)).argmax(1).tolist() == [50] * 3


def test_a_tilt_moves_low_bands_and_leaves_the_ends() -> None:
    mel = np.full((3, MEL_BINS), MEL_FLOOR, np.float32)
    mel[:, [0, 10, 79]] = 1.0
    changed = change_voice(mel, VoiceChange(1.0, FLAT, tilt=0.1))
    # band 12 reads at 79 (12 / 79)^1.1 = 9.94
    assert sorted(changed[0].argsort()[-3:].tolist()) == [0, 12, 79]


def test_a_bend_moves_each_region_by_itself() -> None:
    mel = np.random.default_rng(1).normal(0, 1, (4, MEL_BINS)).clip(MEL_FLOOR).astype(np.float32)
    bend = np.zeros(MEL_BINS)
    bend[20:40], bend[50:60] = 2.0, -1.0
    changed = change_voice(mel, VoiceChange(1.0, FLAT, bend=bend))
    np.testing.assert_allclose(changed[:, 20:40], mel[:, 22:42], atol=1e-5)
    np.testing.assert_allclose(changed[:, 50:60], mel[:, 49:59], atol=1e-5)
    np.testing.assert_allclose(changed[:, 60:], mel[:, 60:], atol=1e-5)


def test_no_change_changes_nothing() -> None:
    mel = np.random.default_rng(0).normal(0, 1, (5, MEL_BINS)).clip(MEL_FLOOR).astype(np.float32)
    assert np.allclose(change_voice(mel, VoiceChange(1.0, FLAT)), mel)


def test_pace_moves_everything_in_time() -> None:
    mel = np.full((100, MEL_BINS), MEL_FLOOR, np.float32)
    mel[60] = 1.0
    faster, slower = (change_voice(mel, VoiceChange(1.0, FLAT, pace)) for pace in (1.25, 0.8))
    assert (len(faster), len(slower)) == (80, 125)
    assert (faster[:, 0].argmax(), slower[:, 0].argmax()) == (48, 75)


def test_a_wavering_pace_moves_a_moment_and_not_the_whole() -> None:
    mel = np.full((100, MEL_BINS), MEL_FLOOR, np.float32)
    mel[[30, 60]] = 1.0
    # a wave that is 2 frames late at 30 and 2 early at 60
    change = VoiceChange(1.0, FLAT, wavering=2.0, period=60.0, phase=np.pi / 2)
    changed = change_voice(mel, change)
    assert len(changed) == 100
    assert sorted(changed[:, 0].argsort()[-2:].tolist()) == [32, 58]


def test_sharpness_is_what_differs_from_the_bands_around() -> None:
    mel = np.zeros((2, MEL_BINS), np.float32)
    mel[:, 40] = 1.0
    flat, sharp = (change_voice(mel, VoiceChange(1.0, FLAT, sharpness=share)) for share in (-1.0, 0.5))
    assert np.allclose(flat[:, 37:44], [0, 0.2, 0.2, 0.2, 0.2, 0.2, 0], atol=1e-6)
    assert np.allclose(sharp[:, 37:44], [0, -0.1, -0.1, 1.4, -0.1, -0.1, 0], atol=1e-6)


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


def test_lost_moments_are_silent_and_all_else_stays() -> None:
    mel, shares = np.ones((300, MEL_BINS), np.float32), []
    for seed in range(300):
        heard = lose_moments(mel, np.random.default_rng(seed))
        lost = (heard == np.float32(MEL_FLOOR)).all(axis=1)
        assert (heard[~lost] == 1).all()
        assert lost.sum() <= 32
        shares.append(lost.any())
    assert (mel == 1).all()
    assert np.mean(shares) == pytest.approx(2 / 3, abs=0.08)


def click() -> np.ndarray:
    mel = np.full((200, MEL_BINS), MEL_FLOOR, np.float32)
    mel[10] = 1.0
    return mel


def test_echoes_fall_by_60_db_in_their_time_and_sum_to_their_share() -> None:
    heard = put_in_room(click(), Room(reverberation_s=0.3, echoes_db=4.0), np.random.default_rng(0))
    power = np.exp(LOG_POWER * heard.astype(np.float64))[:, 0]
    assert np.allclose(heard[:11], click()[:11], atol=1e-5)
    # digital silence is 48 dB below: a third of the way is in sight
    assert 10 * np.log10(power[11] / power[21]) == pytest.approx(20, abs=0.1)
    assert 10 * np.log10(power[11:].sum() / power[10]) == pytest.approx(-4, abs=0.1)


def test_no_room_changes_nothing_and_noise_covers_what_is_below_it() -> None:
    generator = np.random.default_rng(0)
    assert np.array_equal(put_in_room(click(), Room(), generator), click())
    heard = put_in_room(click(), Room(floor=np.zeros(MEL_BINS, np.float32)), generator)
    # powers add: the click stands out of noise at 0 by what it has more
    assert float(np.exp(LOG_POWER * heard[20:].astype(np.float64)).mean()) == pytest.approx(1.0, rel=0.05)
    assert (heard[10] > 1.0).all()


def test_a_telephone_passes_its_band_alone() -> None:
    loud = np.ones((3, MEL_BINS), np.float32)
    passed = put_in_room(loud, Room(is_telephone=True), np.random.default_rng(0))[0] == 1.0
    # 300 Hz is at 4.5 of the scale's 45.2, 3,400 Hz at 32.8; centres lie 0.559 apart
    assert np.flatnonzero(passed).tolist() == list(range(8, 58))


def test_rooms_of_one_seed_are_equal() -> None:
    first, again = (draw_room(np.random.default_rng(5)) for _ in range(2))
    assert first.reverberation_s == again.reverberation_s
    assert np.array_equal(first.floor, again.floor)
