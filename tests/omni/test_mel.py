"""Log-mel frames: streaming is offline, causal, and the numbers are what a sine says they are."""

import numpy as np
import pytest

from vivavoce.errors import DataError
from vivavoce.omni.codec.config import CODEC_MEL
from vivavoce.omni.mel import USER_MEL, MelConfig, StreamingMel, log_mel, mel_edges_hz, mel_filters


def _noise(count: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)


@pytest.mark.parametrize("config", [USER_MEL, CODEC_MEL])
@pytest.mark.parametrize("piece", [1, 37, 160, 5000])
def test_frames_of_pieces_of_any_size_equal_frames_of_the_whole(config: MelConfig, piece: int) -> None:
    samples = _noise(4000 if piece > 1 else 700)
    stream = StreamingMel(config)
    pieces = [stream.push(samples[start : start + piece]) for start in range(0, len(samples), piece)]
    whole = log_mel(samples, config, multiple=1)
    assert np.allclose(np.concatenate([*pieces, stream.flush()]), whole, atol=1e-5)
    assert len(whole) == -(-len(samples) // config.hop_samples)


def test_a_user_frame_is_known_as_soon_as_its_ten_milliseconds_are_over() -> None:
    samples = _noise(1600)
    stream = StreamingMel(USER_MEL)
    assert [len(stream.push(samples[start : start + 160])) for start in range(0, 1600, 160)] == [1] * 10
    assert len(stream.flush()) == 0


def test_a_frame_does_not_depend_on_what_comes_after_it() -> None:
    first, second = _noise(3200), _noise(3200)
    second[1600:] = 0
    assert np.array_equal(log_mel(first)[:10], log_mel(second)[:10])
    assert not np.array_equal(log_mel(first)[10], log_mel(second)[10])


def test_a_whole_sound_is_padded_to_whole_steps_and_nothing_gives_nothing() -> None:
    assert log_mel(_noise(1)).shape == (8, 80)
    assert log_mel(_noise(1281)).shape == (16, 80)
    assert log_mel(np.zeros(0, np.float32)).shape == (0, 80)


def test_silence_is_at_the_floor_and_a_full_sine_at_its_magnitude() -> None:
    silence = log_mel(np.zeros(1600, np.float32))
    assert np.allclose(silence, (np.log(USER_MEL.floor) - USER_MEL.mean) / USER_MEL.scale)
    flat = MelConfig(rate_hz=16_000, window_samples=400, hop_samples=160, num_bins=80, mean=0, scale=1)
    sine = np.sin(2 * np.pi * 1000 * np.arange(3200) / 16_000).astype(np.float32)
    magnitude = np.zeros(201)
    magnitude[[24, 25, 26]] = [0.25, 0.5, 0.25]
    expected = np.log(np.maximum(magnitude @ mel_filters(16_000, 400, 80), flat.floor))
    assert np.allclose(log_mel(sine, flat)[10], expected, atol=0.02)


def test_bands_are_averages_that_leave_no_band_empty() -> None:
    filters = mel_filters(24_000, 256, 100)
    assert np.allclose(filters.sum(0), 1, atol=1e-5)
    edges_hz = mel_edges_hz(16_000, 80)
    assert edges_hz[0] == 0
    assert edges_hz[-1] == pytest.approx(8000)
    assert np.all(np.diff(edges_hz) > 0)


def test_other_arrays_are_refused() -> None:
    with pytest.raises(DataError, match="need float32"):
        StreamingMel().push(np.zeros(10))
