"""How a recording differs each time it is heard: the room's steady noise and the gain, drawn on the log-mel."""

from __future__ import annotations

import numpy as np

from vivavoce.omni.configuration import MEL_BINS
from vivavoce.omni.layout import MEL_FLOOR


def draw_floor(generator: np.random.Generator) -> np.ndarray | None:
    """Mean level by band of the room: digital silence for a third, else noise from faint to loud, tilted at random."""
    if generator.random() < 0.35:
        return None
    level = float(generator.uniform(MEL_FLOOR, -0.4))
    tilt = float(generator.uniform(-0.7, 0.3)) * np.linspace(0, 1, MEL_BINS)
    ripple = np.interp(np.linspace(0, 7, MEL_BINS), np.arange(8), generator.normal(0, 0.12, 8))
    return np.maximum(level + tilt + ripple, MEL_FLOOR).astype(np.float32)


def draw_gain(generator: np.random.Generator) -> float:
    """What is added to the scaled log-mel of all that one user says."""
    return float(generator.uniform(-0.8, 0.5))
