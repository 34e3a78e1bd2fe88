"""The arithmetic that generation needs, and nothing else: satisfied by PyTorch and by ONNX Runtime. Torch-free.

A backend holds weights and no conversation: every call gets the state it works on and returns the new one. Shapes: B
slots at once, T steps, D width, K books; arrays are NumPy, float32 and int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from vivavoce.omni.engine.cache import KVShape, SlotCache, Window, rope_tables
from vivavoce.omni.engine.transcriber import HeardAgain, LanguageWeights

EarState = tuple[np.ndarray, ...]
"""What each convolution of the stem keeps: [channels, context] each."""

MASKED = np.float32(-1e9)


class NetworkShape(NamedTuple):
    """Sizes that generation needs to know."""

    num_text_ids: int
    num_image_codes: int
    num_books: int
    num_codes_per_book: int
    width: int
    kv: KVShape


class Reading(NamedTuple):
    """Steps [T, D] for one slot to read: its cache (written to, at `window.length`) and what it sees."""

    cache: SlotCache
    window: Window
    embeds: np.ndarray


class EarOutput(NamedTuple):
    """What B ears made of a clock step, of no use while muted: sound [B, D] as the trunk reads it; said [B, text rows],
    log-probabilities of words; the ears after it."""

    sound: np.ndarray
    said: np.ndarray
    ears: list[EarState]


class ClockReading(NamedTuple):
    """What B clock steps read. sound [B, D] of `Backend.hear`; is_muted, is_speaking [B] bool; heard [B], the word of the transcript
    that this very step gives out; of the step before: text [B], codes [B, K]."""

    sound: np.ndarray
    is_muted: np.ndarray
    is_speaking: np.ndarray
    text: np.ndarray
    heard: np.ndarray
    codes: np.ndarray


class ClockScores(NamedTuple):
    """Logits of B clock steps: turn [B, 3], text [B, text rows]."""

    turn: np.ndarray
    text: np.ndarray


class Backend(Protocol):
    """See the module docstring."""

    name: str
    shape: NetworkShape
    language: LanguageWeights

    def embed_tokens(self, ids: Sequence[int]) -> np.ndarray:
        """Vectors [T, D] of ids."""
        ...

    def embed_patches(self, patches: np.ndarray) -> np.ndarray:
        """Vectors [64, D] of a picture's patches [64, 192]."""
        ...

    def embed_frame(self, patches: np.ndarray) -> np.ndarray:
        """Vectors [16, D] of a film frame's patches [16, 768]."""
        ...

    def make_ear(self) -> EarState:
        """The ear before time 0."""
        ...

    def hear(self, mel: np.ndarray, ears: Sequence[EarState]) -> EarOutput:
        """One clock step of sound [B, 8, 80] for each ear."""
        ...

    def hear_again(self, mel: np.ndarray) -> HeardAgain:
        """A whole utterance [T, 8, 80], by an ear that begins with it and by the second pass."""
        ...

    def embed_clock(self, reading: ClockReading) -> np.ndarray:
        """What clock steps feed the trunk, [B, D]."""
        ...

    def read(self, readings: Sequence[Reading]) -> np.ndarray:
        """Run the trunk over new steps of some slots; write their keys and values. Returns the last step's [B, D] each."""
        ...

    def score_tokens(self, hidden: np.ndarray) -> np.ndarray:
        """Logits [B, V] of the next token."""
        ...

    def score_clock(self, hidden: np.ndarray) -> ClockScores:
        """Logits of a clock step's decisions, from the trunk's hidden [B, D]."""
        ...

    def choose_codes(
        self, hidden: np.ndarray, text: np.ndarray, noise: np.ndarray, *, temperature: float, min_prob_share: float
    ) -> np.ndarray:
        """Codes [B, K] of one frame, book after book: argmax(logits / temperature + noise), noise [B, K, codes].

        Temperature 0 ignores the noise; logits more than ln(min_prob_share) below the best are left out.
        """
        ...


class TrunkFeed(NamedTuple):
    """Arrays of one run of the trunk: embeds [B, T, D]; cos, sin [B, T, C]; past [layers, 2, B, heads, P, C];
    past_bias [B, 1, 1, P]; new_bias [1, 1, T, T]."""

    embeds: np.ndarray
    cos: np.ndarray
    sin: np.ndarray
    past: np.ndarray
    past_bias: np.ndarray
    new_bias: np.ndarray


def gather(readings: Sequence[Reading], kv: KVShape) -> TrunkFeed:
    """Slots of differing pasts and step counts, padded to one shape; padding is masked or comes later than it matters."""
    num_new = max(len(item.embeds) for item in readings)
    # one masked place at least, since engines differ in what they do with none
    num_past = max(1, *(item.window.num_seen for item in readings))
    count = len(readings)
    first = np.array([item.window.length for item in readings])
    cos, sin = rope_tables(first, num_new, kv.head_width, kv.rope_theta)
    new_bias = np.triu(np.full((num_new, num_new), MASKED, np.float32), 1)[None, None]
    if count == 1 and readings[0].window.num_seen:
        cache, window, steps = readings[0]
        past_bias = np.zeros((1, 1, 1, num_past), np.float32)
        return TrunkFeed(
            steps[None], cos, sin, cache.view(window.start, window.length)[:, :, None], past_bias, new_bias
        )
    embeds = np.zeros((count, num_new, readings[0].embeds.shape[1]), np.float32)
    past = np.zeros((kv.num_layers, 2, count, kv.num_heads, num_past, kv.head_width), np.float32)
    past_bias = np.full((count, 1, 1, num_past), MASKED, np.float32)
    for idx, (cache, window, steps) in enumerate(readings):
        embeds[idx, : len(steps)] = steps
        past[:, :, idx, :, : window.num_seen] = cache.view(window.start, window.length)
        past_bias[idx, ..., : window.num_seen] = 0.0
    return TrunkFeed(embeds, cos, sin, past, past_bias, new_bias)


def scatter(readings: Sequence[Reading], hidden: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Write new keys and values [layers, 2, B, heads, T, C] to their caches; the last real step of hidden [B, T, D]."""
    last = np.empty((len(readings), hidden.shape[2]), np.float32)
    for idx, (cache, window, steps) in enumerate(readings):
        cache.write(window.length, new[:, :, idx, :, : len(steps)])
        last[idx] = hidden[idx, len(steps) - 1]
    return last
