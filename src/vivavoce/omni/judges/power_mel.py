"""Power mel spectrogram as librosa makes it by default, which is what the packaged judges were trained on."""

from __future__ import annotations

import functools

import numpy as np

from vivavoce.omni.mel import mel_edges_hz

RATE_HZ = 16_000


def power_mel(samples: np.ndarray, window_samples: int, hop_samples: int, num_bins: int) -> np.ndarray:
    """Power in mel bands of equal area, frames centred, silence beyond the ends.

    Shapes: samples [S] float32 at 16 kHz; result [1 + S // hop, num_bins] float32.
    """
    padded = np.pad(samples, window_samples // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, window_samples)[::hop_samples]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_samples) / window_samples)
    power = np.abs(np.fft.rfft(windows * hann)) ** 2
    return (power @ _bands(window_samples, num_bins)).astype(np.float32)


@functools.lru_cache(maxsize=4)
def _bands(window_samples: int, num_bins: int) -> np.ndarray:
    """[window // 2 + 1, num_bins]."""
    edges_hz = mel_edges_hz(RATE_HZ, num_bins)
    bins_hz = np.fft.rfftfreq(window_samples, 1 / RATE_HZ)[:, None]
    lower, centre, upper = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    triangles = np.maximum(0, np.minimum((bins_hz - lower) / (centre - lower), (upper - bins_hz) / (upper - centre)))
    return triangles * (2 / (upper - lower))
