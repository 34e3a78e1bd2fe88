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

from vivavoce.rbr.graders.checkers import Checker, CheckerGrader, load_checkers
from vivavoce.rbr.graders.interface import Item

VERSION = 1
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
            return HashingVectorizer(n_features=size, ngram_range=(1, 2), norm="l2", alternate_sign=False)

        self._reply = words(NUM_REPLY_BUCKETS)
        self._characters = HashingVectorizer(
            n_features=NUM_CHARACTER_BUCKETS, analyzer="char_wb", ngram_range=(3, 5), norm="l2", alternate_sign=False
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
        return NUM_REPLY_BUCKETS + NUM_CHARACTER_BUCKETS + NUM_PROMPT_BUCKETS + self.num_numbers

    @property
    def num_numbers(self) -> int:
        """How many plain numbers close each row."""
        return 2 * len(self._checkers) + _NUM_SHAPES

    def make(self, items: Sequence[Item]) -> Any:
        """Rows of the items, in their order, a sparse [N, F] float64."""
        replies = [item.completion.lower() for item in items]
        asked = [item.prompt[-1].text.lower() if item.prompt else "" for item in items]
        numbers = np.array([[*self._check(item.completion), *_measure_shape(item)] for item in items])
        # chosen on folds of the gold training split: words count most, the request's least
        blocks: list[Any] = [
            sparse.csr_matrix(self._reply.transform(replies)) * 3.0,
            sparse.csr_matrix(self._characters.transform(replies)) * 2.0,
            self._prompt.transform(asked),
            sparse.csr_matrix(numbers),
        ]
        return sparse.hstack(blocks, format="csr")

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
