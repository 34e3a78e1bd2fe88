"""A small trained judge of what is asked for: a linear classifier over hashed words and character n-grams. NumPy only.

It knows surface forms of its training prompts and little beyond (figures: docs/serve.md), and holds no text: a feature is
a bucket of a hash. Made by `recipes/serve_moderation.py`; stands beside the rules, never instead of them.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from vivavoce.errors import DataError
from vivavoce.serve.guards.findings import Finding, Where

NUM_BUCKETS = 1 << 15
_WORD_SIZES = (1, 2)
_CHAR_SIZES = (3, 4, 5)
_MAX_CHARS = 4_000
"""A longer text is judged by its last characters: what is asked for stands at the end. chosen."""


def hash_features(text: str) -> np.ndarray:
    """Buckets of the words, word pairs and 3- to 5-character pieces of `text`: sorted, distinct [N] int64."""
    plain = re.sub(r"[^a-z0-9' ]", " ", text.lower().replace("’", "'"))
    plain = " ".join(plain.split())[-_MAX_CHARS:]
    words = plain.split()
    padded = f" {plain} "
    found = {
        f"w{' '.join(words[start : start + size])}" for size in _WORD_SIZES for start in range(len(words) - size + 1)
    }
    found |= {f"c{padded[start : start + size]}" for size in _CHAR_SIZES for start in range(len(padded) - size + 1)}
    return np.unique(np.array([zlib.crc32(piece.encode()) % NUM_BUCKETS for piece in found], np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class LinearGuard:
    """Judges the user's words. rarity, weights: [NUM_BUCKETS] float32; threshold: on the score, higher is worse."""

    rarity: np.ndarray
    weights: np.ndarray
    bias: float
    threshold: float

    def score(self, text: str) -> float:
        """How much `text` is like requests that were to be refused; 0 is even odds, in log-odds."""
        buckets = hash_features(text)
        values = self.rarity[buckets]
        norm = float(np.linalg.norm(values))
        return float(values @ self.weights[buckets]) / norm + self.bias if norm else self.bias

    def judge(self, text: str, where: Where, question: str = "") -> Finding | None:
        """See `TextGuard.judge`. What the model says is left to the rules."""
        if where != "input":
            return None
        score = self.score(text)
        return Finding("moderation", where, "request", score) if score > self.threshold else None

    def save(self, path: Path) -> None:
        """Write the weights, in half precision."""
        rarity, weights = self.rarity.astype(np.float16), self.weights.astype(np.float16)
        numbers = np.array([self.bias, self.threshold], np.float32)
        with path.open("wb") as file:
            np.savez_compressed(file, rarity=rarity, weights=weights, numbers=numbers)


def read_linear_guard(path: Path) -> LinearGuard:
    """Weights that `save` wrote. Raises: DataError if they are not such."""
    try:
        with np.load(path, allow_pickle=False) as held:
            rarity, weights = (held[name].astype(np.float32) for name in ("rarity", "weights"))
            bias, threshold = held["numbers"].tolist()
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} holds no weights of the moderation classifier: {error}") from error
    if rarity.shape != (NUM_BUCKETS,) or weights.shape != (NUM_BUCKETS,):
        raise DataError(f"{path} has {rarity.shape} and {weights.shape} weights; need {NUM_BUCKETS}; make it anew")
    return LinearGuard(rarity, weights, bias, threshold)


@cache
def load_linear_guard() -> LinearGuard:
    """The classifier that ships with the package."""
    with resources.as_file(resources.files("vivavoce.serve.guards").joinpath("moderation.npz")) as path:
        return read_linear_guard(path)
