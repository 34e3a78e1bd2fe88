"""Keys and values of past steps, one store a slot, addressed by position; and the window over them. Torch-free.

Positions count every step of a slot from 0 and are what rotary embedding turns by, so nothing moves when old steps are
forgotten: the visible stretch [start, length) slides. The opening (`<bos>`, the system message) stays visible: its keys
are turned forward to sit right before the stretch, over steps that are no longer seen; what lay there is kept aside, so
that a rewind past a slide is exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_GROWTH = 256


class KVShape(NamedTuple):
    """Of a trunk: layers, key/value heads, width of a head, base of the rotary angles."""

    num_layers: int
    num_heads: int
    head_width: int
    rope_theta: float


class SlotCache:
    """Keys and values of one slot: [layers, 2, heads, positions, head width] float32."""

    def __init__(self, shape: KVShape) -> None:
        self.shape = shape
        self.first = 0
        """The earliest position that is still kept."""
        self._data = np.zeros((shape.num_layers, 2, shape.num_heads, _GROWTH, shape.head_width), np.float32)

    def view(self, start: int, stop: int) -> np.ndarray:
        """Positions [start, stop): [layers, 2, heads, stop - start, head width]; a view."""
        assert self.first <= start <= stop
        return self._data[:, :, :, start - self.first : stop - self.first]

    def write(self, start: int, block: np.ndarray) -> None:
        """Put a block at `start`, growing as needed."""
        stop = start + block.shape[3] - self.first
        if stop > self._data.shape[3]:
            more = np.zeros((*self._data.shape[:3], max(_GROWTH, stop), self._data.shape[4]), np.float32)
            self._data = np.concatenate([self._data, more], axis=3)
        self._data[:, :, :, start - self.first : stop] = block

    def forget(self, before: int) -> None:
        """Give back the room of positions before `before`."""
        if before > self.first:
            self._data = self._data[:, :, :, before - self.first :].copy()
            self.first = before


def turn_keys(block: np.ndarray, steps: int, theta: float) -> np.ndarray:
    """A block [layers, 2, heads, P, C] with its keys turned as if it stood `steps` later; values stay."""
    width = block.shape[-1]
    angles = steps * rope_frequencies(width, theta)
    cos, sin = np.cos(angles), np.sin(angles)
    turned = block.copy()
    left, right = block[:, 0, ..., : width // 2], block[:, 0, ..., width // 2 :]
    turned[:, 0, ..., : width // 2] = left * cos - right * sin
    turned[:, 0, ..., width // 2 :] = right * cos + left * sin
    return turned


def rope_frequencies(head_width: int, theta: float) -> np.ndarray:
    """Angle a step of each pair: [head_width / 2] float64. Source: RoFormer, arXiv 2104.09864, in Llama's half layout."""
    return theta ** (-np.arange(0, head_width, 2, dtype=np.float64) / head_width)


def rope_tables(first: np.ndarray, num_steps: int, head_width: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of `num_steps` positions from each of `first` [B]: [B, T, C] float32 each."""
    positions = first[:, None] + np.arange(num_steps)
    angles = positions[..., None] * rope_frequencies(head_width, theta)
    angles = np.concatenate([angles, angles], axis=-1)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


class Window(NamedTuple):
    """What a slot sees: positions [start, length). opening: steps at the front of it that are never dropped."""

    start: int = 0
    length: int = 0
    opening: int = 0

    @property
    def num_seen(self) -> int:
        """Steps in sight."""
        return self.length - self.start


class Slide(NamedTuple):
    """A move of the window, and the block that the opening was written over (at `window.start` of the time after)."""

    before: Window
    after: Window
    covered: np.ndarray


def slide(cache: SlotCache, window: Window, *, room: int, context_steps: int) -> Slide:
    """Make room for `room` more steps in a window of `context_steps`: drop the oldest quarter (or more) after the opening."""
    drop = max(context_steps // 4, window.num_seen + room - context_steps)
    drop = min(drop, window.num_seen - window.opening)
    after = Window(window.start + drop, window.length, window.opening)
    opening = cache.view(window.start, window.start + window.opening)
    turned = turn_keys(opening, drop, cache.shape.rope_theta)
    covered = cache.view(after.start, after.start + window.opening).copy()
    cache.write(after.start, turned)
    return Slide(window, after, covered)


def undo_slide(cache: SlotCache, slid: Slide) -> None:
    """Put back what the opening covered."""
    cache.write(slid.after.start, slid.covered)
