"""Pitch of clean speech: YIN on frames of 30 ms, with a path that avoids octave jumps.

Made for the codec's training data, one clean voice; not a tracker for noise or several talkers.
Source: de Cheveigné and Kawahara, "YIN", JASA 111 (2002), steps 1-5; the path is ours.
"""

from __future__ import annotations

import numpy as np
import soxr

_RATE_HZ = 8_000
_WINDOW = 240
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 500.0
_LAGS = np.arange(int(_RATE_HZ / _HIGHEST_HZ), int(_RATE_HZ / _LOWEST_HZ) + 2)
_NUM_CANDIDATES = 5


def track_pitch(samples: np.ndarray, rate_hz: int, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pitch around each time, in Hz, and whether it is voiced. Between voiced stretches the pitch is interpolated.

    Shapes: samples [S] float32; times_s [N]; results [N] float32 and [N] bool. All unvoiced gives 100 Hz.
    """
    low = soxr.resample(samples, rate_hz, _RATE_HZ, quality="MQ").astype(np.float32)
    span = _WINDOW + int(_LAGS[-1]) + 1
    low = np.pad(low, (span, 2 * span)) + 1e-7
    # the window and its copy one lag later lie around the time (for a lag of 5 ms, 200 Hz)
    starts = np.clip((times_s * _RATE_HZ).astype(int) + span - (_WINDOW + 40) // 2, 0, len(low) - span)
    frames = low[starts[:, None] + np.arange(span)]
    dips = _normalised_difference(frames)
    lags, costs = _candidates(dips)
    chosen = _best_path(lags, costs)
    rows = np.arange(len(lags))
    energy = np.sqrt((frames**2).mean(1))
    is_voiced = (costs[rows, chosen] < 0.45) & (energy > 0.01 * energy.max() + 1e-5)
    pitch_hz = (_RATE_HZ / lags[rows, chosen]).astype(np.float32)
    if not is_voiced.any():
        return np.full(len(times_s), 100.0, np.float32), is_voiced
    return np.interp(rows, rows[is_voiced], pitch_hz[is_voiced]).astype(np.float32), is_voiced


def _normalised_difference(frames: np.ndarray) -> np.ndarray:
    """YIN's cumulative mean normalised difference at lags 0 to the largest. frames [N, span]; result [N, lags]."""
    size = 1 << (frames.shape[1] + _WINDOW - 1).bit_length()
    num_lags = int(_LAGS[-1]) + 1
    head = np.fft.rfft(frames[:, :_WINDOW], size)
    whole = np.fft.rfft(frames, size)
    cross = np.fft.irfft(whole * head.conj(), size)[:, :num_lags]
    power = np.concatenate([np.zeros((len(frames), 1)), np.cumsum(frames.astype(np.float64) ** 2, axis=1)], axis=1)
    energy = power[:, _WINDOW : _WINDOW + num_lags] - power[:, :num_lags]
    difference = np.maximum(energy[:, :1] + energy - 2 * cross, 0)
    mean = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, num_lags)
    return np.concatenate([np.ones((len(frames), 1)), difference[:, 1:] / np.maximum(mean, 1e-12)], axis=1)


def _candidates(dips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The deepest local minima of each frame, sharpened by a parabola: lags and depths, [N, candidates]."""
    inner = dips[:, _LAGS[0] : _LAGS[-1]]
    before, after = dips[:, _LAGS[0] - 1 : _LAGS[-1] - 1], dips[:, _LAGS[0] + 1 : _LAGS[-1] + 1]
    is_dip = (inner <= before) & (inner <= after)
    depth = np.where(is_dip, inner, np.inf)
    order = np.argsort(depth, axis=1)[:, :_NUM_CANDIDATES]
    rows = np.arange(len(dips))[:, None]
    left, middle, right = before[rows, order], inner[rows, order], after[rows, order]
    curve = left - 2 * middle + right
    shift = np.where(curve > 1e-9, 0.5 * (left - right) / np.maximum(curve, 1e-9), 0.0)
    costs = np.minimum(np.where(np.isfinite(depth[rows, order]), depth[rows, order], 2.0), 2.0)
    lags = _LAGS[0] + order + np.clip(shift, -0.5, 0.5)
    # a longer lag fits as well as the true one in a steady vowel: the shorter wins
    return lags, costs + 0.15 * np.log2(lags / _LAGS[0]) / 3


def _best_path(lags: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Viterbi: the candidate of each frame that is deep and not an octave from its neighbours."""
    logs = np.log2(lags)
    total, back = costs[0], np.zeros(lags.shape, int)
    for row in range(1, len(lags)):
        jump = np.minimum(np.abs(logs[row][:, None] - logs[row - 1][None]), 1.0)
        through = total[None] + 0.8 * jump
        back[row] = through.argmin(1)
        total = through.min(1) + costs[row]
    chosen = np.empty(len(lags), int)
    chosen[-1] = total.argmin()
    for row in range(len(lags) - 1, 0, -1):
        chosen[row - 1] = back[row, chosen[row]]
    return chosen
