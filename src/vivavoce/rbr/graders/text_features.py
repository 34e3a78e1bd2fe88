"""What a small classifier sees of a conversation and a completion: hashed words and a few dozen plain numbers.

Hashing keeps no vocabulary, so a file of weights holds no text. Word order matters by pairs only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import normalize

from vivavoce.rbr.graders.checkers import Checker, CheckerGrader, load_checkers
from vivavoce.rbr.graders.interface import Item

VERSION = 2
NUM_REPLY_BUCKETS = 2**14
NUM_CHARACTER_BUCKETS = 2**14
NUM_PROMPT_BUCKETS = 2**12

_WORD = re.compile(r"[a-z']+")
_SENTENCE = re.compile(r"[^.!?]+[.!?]*")
_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "can",
        "do",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "his",
        "how",
        "i",
        "if",
        "in",
        "is",
        "it",
        "its",
        "me",
        "my",
        "not",
        "of",
        "on",
        "or",
        "our",
        "she",
        "so",
        "that",
        "the",
        "their",
        "them",
        "they",
        "this",
        "to",
        "us",
        "was",
        "we",
        "were",
        "what",
        "when",
        "which",
        "who",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)


class TextFeatures:
    """Turns items into rows of a sparse matrix [N, F]; the same item gives the same row everywhere."""

    def __init__(self) -> None:
        def words(size: int) -> HashingVectorizer:
            # the stubs know `norm` as str only; None is documented
            return HashingVectorizer(n_features=size, ngram_range=(1, 2), norm=None, alternate_sign=False)  # pyright: ignore[reportArgumentType]

        self._reply = words(NUM_REPLY_BUCKETS)
        self._characters = HashingVectorizer(
            n_features=NUM_CHARACTER_BUCKETS,
            analyzer="char_wb",
            ngram_range=(3, 5),
            norm=None,  # pyright: ignore[reportArgumentType]  (as above)
            alternate_sign=False,
        )
        self._prompt = words(NUM_PROMPT_BUCKETS)
        self._checkers: dict[str, Checker] = load_checkers()

    @property
    def digest(self) -> str:
        """Identity of what the features depend on."""
        return f"{VERSION}:{CheckerGrader(self._checkers).identity}"

    @property
    def size(self) -> int:
        """F."""
        return self.num_hashed + self.num_numbers

    @property
    def num_numbers(self) -> int:
        """How many plain numbers close each row."""
        return 2 * len(self._checkers) + _NUM_SHAPES

    @property
    def num_hashed(self) -> int:
        """How many hashed columns open each row."""
        return NUM_REPLY_BUCKETS + NUM_CHARACTER_BUCKETS + NUM_PROMPT_BUCKETS

    def make(self, items: Sequence[Item], idf_H: np.ndarray | None = None) -> Any:
        """Rows of the items, in their order, a sparse [N, F] float64.

        idf_H: weight of each hashed column (`measure_idf`), None for equal ones. Each block then has length 1 times its own
        weight, chosen on folds of the gold training split: words count most, the request's least.
        """
        numbers = np.array([[*self._check(item.completion), *_measure_shape(item)] for item in items])
        blocks: list[Any] = []
        start = 0
        for counts, weight in zip(self._count(items), (3.0, 2.0, 1.0)):
            stop = start + counts.shape[1]
            scaled: Any = counts if idf_H is None else counts @ sparse.diags(idf_H[start:stop].astype(np.float64))
            unit: Any = normalize(scaled)
            blocks.append(unit * weight)
            start = stop
        return sparse.hstack([*blocks, sparse.csr_matrix(numbers)], format="csr")

    def measure_idf(self, items: Sequence[Item]) -> np.ndarray:
        """Inverse document frequency of each hashed column, [H] float16: ln((1 + N) / (1 + df)) + 1."""
        counts: Any = sparse.hstack(self._count(items), format="csr")
        frequency = np.asarray((counts > 0).sum(axis=0)).ravel()
        return (np.log((1 + len(items)) / (1 + frequency)) + 1).astype(np.float16)

    def _count(self, items: Sequence[Item]) -> list[Any]:
        replies = [item.completion.lower() for item in items]
        asked = [item.prompt[-1].text.lower() if item.prompt else "" for item in items]
        found = [self._reply.transform(replies), self._characters.transform(replies), self._prompt.transform(asked)]
        return [sparse.csr_matrix(counts) for counts in found]

    def _check(self, text: str) -> list[float]:
        values = []
        for checker in self._checkers.values():
            values.append(float(checker.holds(text)))
            values.append(min(3, checker.count(text)) / 3)
        return values


_NUM_SHAPES = 12


def _measure_shape(item: Item) -> list[float]:
    """Lengths, punctuation, and how much the reply has in common with the conversation; all within about [0, 2]."""
    text = item.completion
    sentences = [part for part in _SENTENCE.findall(text) if part.strip()]
    words = _WORD.findall(text.lower())
    content = {word for word in words if word not in _STOP}
    asked = (
        {word for word in _WORD.findall(item.prompt[-1].text.lower()) if word not in _STOP} if item.prompt else set()
    )
    talk = {
        word for message in item.prompt for word in _WORD.findall(message.text.lower()) if word not in _STOP
    }  # the whole conversation
    first = sentences[0].lower() if sentences else ""
    return [
        math.log1p(len(words)) / 5,
        math.log1p(len(sentences)) / 3,
        float(len(words) <= 25),
        float(len(words) > 60),
        min(3, text.count("?")) / 3,
        float(text.rstrip().endswith("?")),
        min(3, text.count("\n")) / 3,
        len(content & asked) / max(1, len(asked)),
        len(content & talk) / max(1, len(content)),
        float("sorry" in first or "apolog" in first),
        float(any(mark in first for mark in ("can't", "cannot", "unable", "not able", "won't"))),
        min(2.0, len(item.prompt) / 4),
    ]
