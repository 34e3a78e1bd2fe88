"""The word list of the word tasks: common English words, our own selection."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def load_words() -> tuple[str, ...]:
    """Every word once, in alphabetical order."""
    return tuple(sorted(set((Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split())))
