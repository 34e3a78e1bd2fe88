"""Right answers that a machine can check: words that must occur, words that must not, exact wording, declining.

Checks are made on normalised words (`normalise_words`): lower case, no punctuation, numbers in words, one spelling. A
picture's right answer is a `Scene`; it is judged by `omni.judges.drawing`, not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from vivavoce.data.scene import Scene
from vivavoce.spoken import NUMBER_WORDS, split_words

AnswerKind = Literal["keys", "words", "decline", "picture"]

_SYNONYMS = {"middle": "centre", "nothing": "none"}
"""Words that say the same in the small world."""
_DECLINES = (
    "can not",
    "will not",
    "do not guess",
    "not able to",
    "unable to",
    "rather not",
    "no way to tell",
    "not something i",
    "do not identify",
    "do not name",
    "do not copy",
    "do not judge",
)


def fold_text(text: str) -> str:
    """The form in which the small world writes text: lower case, one space, plain quotes, no other signs than , . ? ! ' -."""
    text = text.lower().replace("’", "'").replace("‘", "'").replace("\u2014", ", ")
    return " ".join(re.sub(r"[^a-z0-9,.?!' -]+", " ", text).split())


def normalise_words(text: str) -> list[str]:
    """Words for comparison: as they are said (`spoken.split_words`), one word for what the small world calls alike."""
    return [_SYNONYMS.get(word, word) for word in split_words(text)]


@lru_cache(maxsize=20_000)
def _phrase_words(phrase: str) -> list[str]:
    return normalise_words(phrase)


def has_phrase(words: list[str], phrase: str) -> bool:
    """Whether the words of `phrase` (normalised here) occur in `words`, in a row.

    A phrase of number words must be the whole number: `four` does not occur in `twenty four`.
    """
    wanted = _phrase_words(phrase)
    for start in range(len(words) - len(wanted) + 1):
        end = start + len(wanted)
        if words[start:end] != wanted:
            continue
        around = [*words[max(0, start - 1) : start], *words[end : end + 1]]
        if not (NUMBER_WORDS.issuperset(wanted) and NUMBER_WORDS.intersection(around)):
            return True
    return False


def is_decline(text: str) -> bool:
    """Whether `text` declines to do what was asked."""
    words = normalise_words(text)
    return any(has_phrase(words, phrase) for phrase in _DECLINES)


@dataclass(frozen=True, slots=True)
class Answer:
    """What counts as right.

    kind: `keys` - one phrase of every group in `keys` occurs (one that starts with `=` must be the whole answer), none of
    `rivals` does, and it is no decline; `words` - the
    same words as `text` after normalising; `decline` - it declines, and none of `rivals` occurs; `picture` - there is
    no text to check.
    text: the reference answer. scene: what a drawn answer must show, whatever the kind.
    """

    kind: AnswerKind
    text: str = ""
    keys: tuple[tuple[str, ...], ...] = ()
    rivals: tuple[str, ...] = ()
    scene: Scene | None = None

    def check(self, text: str) -> bool:
        """Whether `text` is a right answer.

        Raises: ValueError for kind `picture`, which has no text; judge the drawing against `scene`.
        """
        if self.kind == "picture":
            raise ValueError("a picture answer has no text to check; judge the drawing against answer.scene")
        words = normalise_words(text)
        if self.kind == "words":
            return words == normalise_words(self.text)
        if any(has_phrase(words, rival) for rival in self.rivals):
            return False
        if self.kind == "decline":
            return is_decline(text)
        return not is_decline(text) and all(any(_is_said(words, key) for key in group) for group in self.keys)


def _is_said(words: list[str], key: str) -> bool:
    return words == normalise_words(key) if key.startswith("=") else has_phrase(words, key)
