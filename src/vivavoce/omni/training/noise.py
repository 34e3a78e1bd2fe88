"""How a recording differs each time it is heard: the room's steady noise, the gain and the voice, drawn on the log-mel.

Twenty voices are few, so the length of the vocal tract is drawn too: all bands move up or down by one factor (Jaitly and
Hinton 2013), under a smooth curve that stands for another mouth and microphone.
"""

from __future__ import annotations

from typing import NamedTuple

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


class VoiceChange(NamedTuple):
    """warp: factor on the band axis; curve [80]: added to the scaled log-mel."""

    warp: float
    curve: np.ndarray


def draw_voice_change(generator: np.random.Generator) -> VoiceChange:
    """Another speaker from the same recording; a fifth of the time hardly another. chosen: within 15%."""
    strength = 0.1 if generator.random() < 0.2 else 1.0
    warp = float(np.exp(strength * generator.uniform(-0.15, 0.15)))
    knots = strength * (generator.normal(0, 0.1, 6) + np.linspace(0, 1, 6) * generator.uniform(-0.4, 0.4))
    return VoiceChange(warp, np.interp(np.linspace(0, 5, MEL_BINS), np.arange(6), knots).astype(np.float32))


def change_voice(mel: np.ndarray, change: VoiceChange) -> np.ndarray:
    """Scaled log-mel [F, 80] of another voice saying the same at the same time; silence stays silent."""
    places = np.clip(np.arange(MEL_BINS) * change.warp, 0, MEL_BINS - 1)
    below = np.floor(places).astype(int)
    share = (places - below).astype(np.float32)
    above = np.minimum(below + 1, MEL_BINS - 1)
    warped = (1 - share) * mel[:, below] + share * mel[:, above]
    changed = np.maximum(warped + change.curve, MEL_FLOOR)
    return np.where(warped <= MEL_FLOOR + 1e-3, MEL_FLOOR, changed).astype(np.float32)
