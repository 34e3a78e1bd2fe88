"""Log-mel frames, causally: what the model hears of the user (16 kHz), and what the codec encodes (24 kHz).

A frame's window ends `look_ahead` samples after the end of its hop; for the user that is 0, so a frame is known as
soon as its 10 ms have passed. Offline and streaming are one path: offline is one push of everything.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from vivavoce.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class MelConfig:
    """Which frames, and how they are scaled."""

    rate_hz: int
    """Sample rate of the input."""
    window_samples: int
    """Length of the Hann window, and of the Fourier transform."""
    hop_samples: int
    """Samples from one frame to the next."""
    num_bins: int
    """Mel bands from 0 Hz to half the rate."""
    look_ahead_samples: int = 0
    """How far a frame's window reaches past the end of its hop."""
    floor: float = 1e-5
    """Band magnitudes are raised to this before the logarithm: about -94 dB of a full-scale sine."""
    mean: float = -8.0
    """Subtracted from the natural logarithm, and"""
    scale: float = 2.0
    """then divided by this, so that speech has about zero mean and unit variance."""

    @property
    def past_samples(self) -> int:
        """Samples before a frame's own hop that its window covers."""
        return self.window_samples - self.hop_samples - self.look_ahead_samples


USER_MEL = MelConfig(rate_hz=16_000, window_samples=400, hop_samples=160, num_bins=80)
"""What the trunk's stem hears: 8 frames to a clock step of 80 ms."""


class StreamingMel:
    """Frames of a sound that arrives in pieces of any size.

    A frame comes out once its whole window is in; before time 0 there is silence. `flush` pads the end with silence.
    """

    def __init__(self, config: MelConfig = USER_MEL) -> None:
        self.config = config
        self._buffer = np.zeros(config.past_samples, np.float32)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Frames that became complete. samples [S] float32; result [N, num_bins] float32.

        Raises: DataError if samples are not one-dimensional float32.
        """
        if samples.ndim != 1 or samples.dtype != np.float32:
            raise DataError(f"samples are {samples.dtype} {list(samples.shape)}; need float32 [S]")
        config = self.config
        self._buffer = np.concatenate([self._buffer, samples])
        count = max(0, (len(self._buffer) - config.window_samples) // config.hop_samples + 1)
        if not count:
            return np.zeros((0, config.num_bins), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._buffer, config.window_samples)
        frames = _log_mel(windows[: count * config.hop_samples : config.hop_samples], config)
        self._buffer = self._buffer[count * config.hop_samples :]
        return frames

    def flush(self) -> np.ndarray:
        """The frames that the end still owes: every hop that was begun, with silence after it."""
        config = self.config
        owed = -(-(len(self._buffer) - config.past_samples) // config.hop_samples)
        needed = config.past_samples + owed * config.hop_samples + config.look_ahead_samples
        return self.push(np.zeros(max(0, needed - len(self._buffer)), np.float32))


def log_mel(samples: np.ndarray, config: MelConfig = USER_MEL, multiple: int = 8) -> np.ndarray:
    """All frames of a whole sound, padded with silence to a multiple of `multiple` frames.

    Shapes: samples [S] float32 at config.rate_hz; result [N, num_bins] float32, N = multiple * ceil(S / hop / multiple).
    """
    step = config.hop_samples * multiple
    padded = np.pad(samples, (0, -len(samples) % step))
    stream = StreamingMel(config)
    return np.concatenate([stream.push(padded), stream.flush()])


def _log_mel(windows: np.ndarray, config: MelConfig) -> np.ndarray:
    """windows [N, window] to [N, num_bins]."""
    spectrum = np.abs(np.fft.rfft(windows * _hann(config.window_samples)))
    bands = spectrum @ mel_filters(config.rate_hz, config.window_samples, config.num_bins)
    return ((np.log(np.maximum(bands, config.floor)) - config.mean) / config.scale).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _hann(length: int) -> np.ndarray:
    """Periodic Hann window, scaled so that a full-scale sine peaks at 0.5."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return (window / window.sum()).astype(np.float32)


@functools.lru_cache(maxsize=16)
def mel_filters(rate_hz: int, window_samples: int, num_bins: int) -> np.ndarray:
    """Triangular bands, evenly spaced on a scale that is linear below 1 kHz and logarithmic above.

    Shape: [window / 2 + 1, num_bins] float32; each band's weights sum to 1.
    Source: the scale of Slaney's Auditory Toolbox (1998): 200/3 Hz a mel below 1 kHz, then 27 steps to a factor of 6.4.
    """
    edges_hz = mel_edges_hz(rate_hz, num_bins)
    bins_hz = np.linspace(0, rate_hz / 2, window_samples // 2 + 1)[:, None]
    lower, centre, upper = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising, falling = (bins_hz - lower) / (centre - lower), (upper - bins_hz) / (upper - centre)
    weights = np.maximum(0, np.minimum(rising, falling))
    # a band narrower than the bins' spacing can miss them all; it then takes the nearest
    for empty in np.flatnonzero(weights.sum(0) == 0):
        weights[np.abs(bins_hz[:, 0] - centre[empty]).argmin(), empty] = 1.0
    return (weights / weights.sum(0)).astype(np.float32)


def mel_edges_hz(rate_hz: int, num_bins: int) -> np.ndarray:
    """Edges of `num_bins` bands up to half the rate, [num_bins + 2]; band b reaches from edge b to edge b + 2."""
    return _mel_to_hz(np.linspace(0, _hz_to_mel(rate_hz / 2), num_bins + 2))


def _hz_to_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))
