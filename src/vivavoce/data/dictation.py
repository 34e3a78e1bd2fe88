"""What else is dictated in training: questions in more wordings than anybody asks aloud, and words in no order.

An ear that hears only sentences of one grammar learns their sequences by heart: it wrote down new sentences of that grammar
with one token in nine wrong, and questions in wordings that it had never heard with two in five (experiments/LOG.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vivavoce.data.items import Item, choose, load_table
from vivavoce.data.reading import list_vocabulary
from vivavoce.data.retyping import type_question

_JUMBLE_SHARE = 0.2
"""Of texts, how many are words in no order. chosen."""
_JUMBLE_WORDS = (2, 8)
"""At least, and fewer than."""
MAX_WORDS = 14
_SPOKEN = re.compile(r"[a-z' ,:?.-]+")


class Dictated(NamedTuple):
    """A text to write down. Where it is a question: the task whose pool it is of, and the item in these words."""

    text: str
    task: str = ""
    item: Item | None = None


def iterate_dictated(questions: Mapping[str, Sequence[Item]], seed: int) -> Iterator[Dictated]:
    """Distinct texts of the training split, without end, by seed: typed wordings of `questions` by task, each task as often
    as another, and jumbles of all words known."""
    generator = np.random.default_rng((seed, 92))
    asked = {task: found for task, items in questions.items() if (found := [item for item in items if item.ask])}
    seen: set[str] = set()
    while True:
        dictated = Dictated(_jumble(generator)) if generator.random() < _JUMBLE_SHARE else _ask(asked, generator)
        text = dictated.text
        if text not in seen and len(text.split()) <= MAX_WORDS and _SPOKEN.fullmatch(text):
            seen.add(text)
            yield dictated


def _ask(questions: Mapping[str, Sequence[Item]], generator: np.random.Generator) -> Dictated:
    task = choose(generator, list(questions))
    item = choose(generator, questions[task])
    text = type_question(item, "train", generator).rstrip(".?") + (item.ask[-1] if item.ask[-1] in ".?" else ".")
    return Dictated(text, task, replace(item, ask=text))


def _jumble(generator: np.random.Generator) -> str:
    words = _list_words()
    return " ".join(choose(generator, words) for _ in range(generator.integers(*_JUMBLE_WORDS))) + "."


@lru_cache
def _list_words() -> tuple[str, ...]:
    """Words of sentences, and of the wordings that training types, in order of the alphabet."""
    forms = [form for kind in load_table("wordings").values() for forms in kind.values() for form in forms]
    typed = re.findall(r"[a-z']+", re.sub(r"\{\w+\}", " ", " ".join(map(str, forms))))
    return tuple(sorted(list_vocabulary() | set(typed)))
