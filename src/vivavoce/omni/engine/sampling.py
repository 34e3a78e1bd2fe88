"""Choosing ids: greedy or seeded, under a mask. Randomness of draw n of a slot depends on (seed, n) alone.

So equal seeds and inputs give equal outputs whichever slots run beside, and a rewound slot draws the same again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vivavoce.omni.engine.rules import Allowed

NEVER = np.float32(-1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How ids are chosen. A temperature of 0 takes the likeliest."""

    text_temperature: float = 0.0
    """own text and written answers"""
    code_temperature: float = 0.3
    """speech codes. measured: LOG 2026-11-29; the likeliest alone is a little plainer still, but may say one sound for ever"""
    image_temperature: float = 0.0
    """image codes of a first try"""
    redraw_temperature: float = 0.8
    """image codes of the tries after it"""
    max_tries: int = 4
    """how often a drawing is tried (`engine.drawing`). chosen: each takes about half a second"""
    max_readings: int = 4
    """how often a text that is read aloud is tried (`engine.reading`); 1 gives sound as it is made"""
    reread_temperature: float = 0.4
    """speech codes of the readings after the first"""
    min_prob_share: float = 0.05
    """ids whose probability is below this share of the likeliest's are left out (min-p)"""


def gumbel(seed: int, draw: int, shape: tuple[int, ...]) -> np.ndarray:
    """Gumbel noise of draw number `draw`: argmax(logits / temperature + noise) is a sample of the softmax."""
    generator = np.random.Generator(np.random.Philox(key=seed & (2**64 - 1), counter=[0, 0, draw, 0]))
    return generator.gumbel(size=shape).astype(np.float32)


def choose(
    logits: np.ndarray,
    allowed: Allowed,
    *,
    temperature: float = 0.0,
    min_prob_share: float = 0.0,
    seed: int = 0,
    draw: int = 0,
) -> int:
    """One id of logits [V] among those allowed; there must be at least one."""
    if allowed.only is not None:
        return allowed.only
    values = np.concatenate([logits[list(allowed.ids)], logits[allowed.first : allowed.last]]).astype(np.float32)
    if temperature > 0:
        values = np.where(values < values.max() + np.log(min_prob_share or 1e-9), NEVER, values)
        values = values / np.float32(temperature) + gumbel(seed, draw, values.shape)
    place = int(values.argmax())
    return allowed.ids[place] if place < len(allowed.ids) else allowed.first + place - len(allowed.ids)


def choose_event(logits: np.ndarray, allowed: tuple[int, ...], biases: dict[int, float]) -> int:
    """The likeliest turn event of logits [3] among those allowed, each with its bias added."""
    return max(allowed, key=lambda event: float(logits[event]) + biases.get(event, 0.0))
