"""Where speech begins and ends in a clean recording."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Bounds(NamedTuple):
    """First sample and one past the last."""

    start: int
    stop: int


def speech_bounds(samples: np.ndarray, rate_hz: int, before_s: float = 0.03, after_s: float = 0.06) -> Bounds:
    """Bounds of what is louder than a hundredth of the loudest 10 ms, with a margin. Silence gives (0, 0).

    samples: [S] float32.
    """
    hop = rate_hz // 100
    if len(samples) < hop:
        return Bounds(0, len(samples))
    count = len(samples) // hop
    power = (samples[: count * hop].reshape(count, hop).astype(np.float64) ** 2).mean(1)
    loud = np.flatnonzero(power > max(1e-4 * power.max(), 1e-9))
    if not len(loud):
        return Bounds(0, 0)
    start = loud[0] * hop - round(before_s * rate_hz)
    stop = (loud[-1] + 1) * hop + round(after_s * rate_hz)
    return Bounds(max(0, int(start)), min(len(samples), int(stop)))


def trim(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """`samples` within their speech bounds."""
    bounds = speech_bounds(samples, rate_hz)
    return samples[bounds.start : bounds.stop]
