"""Sentences to read aloud and to write down: a grammar of our own over about 1,900 words of our own list.

They make grammatical sense, not always other sense: that keeps a listener, and a model, from guessing what comes next. A
sentence belongs to the split that a digest of its text says, so no text is on both sides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources

import numpy as np

from vivavoce.data.example import Split
from vivavoce.spoken import say_number

MAX_WORDS = 12
_TEST_SHARE = 10
"""One text in ten is for testing."""
_PLACE_WORDS = ("in", "near", "behind", "outside", "at", "beside")
_SPOT_WORDS = ("on", "under", "behind", "near", "beside", "above", "below", "next to")


def split_of(text: str) -> Split:
    """The split a text belongs to, by digest."""
    return "test" if hashlib.sha256(text.encode()).digest()[0] * _TEST_SHARE < 256 else "train"


@lru_cache
def read_list(name: str) -> tuple[str, ...]:
    """Entries of `lexicon/<name>.txt`: words, or whole lines for `times` and `grammar`; comments left out."""
    text = resources.files("vivavoce.data").joinpath("lexicon", f"{name}.txt").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return tuple(lines) if name in ("times", "grammar") else tuple(word for line in lines for word in line.split())


def list_vocabulary() -> set[str]:
    """Every word form that sentences may hold."""
    lists = (
        "nouns",
        "people",
        "names",
        "places",
        "adjectives",
        "verbs_with_object",
        "verbs_alone",
        "adverbs",
        "abstract",
    )
    words = {form for name in lists for entry in read_list(name) for form in entry.split("/")}
    words |= {make_plural(entry) for name in ("nouns", "people") for entry in read_list(name)}
    words |= {
        word
        for line in (*read_list("times"), *read_list("grammar"))
        for word in re.sub(r"\{\w+\}|[,?]", "", line).split()
    }
    words |= {word for entry in (*_PLACE_WORDS, *_SPOT_WORDS) for word in entry.split()} | {"a", "an"}
    return words | {word for value in range(1000) for word in say_number(value).split()}


def make_plural(entry: str) -> str:
    """The plural of a noun entry: what follows its slash, or by rule."""
    if "/" in entry:
        return entry.split("/")[1]
    if entry.endswith("man"):
        return f"{entry[:-3]}men"
    if entry.endswith("y") and entry[-2] not in "aeiou":
        return f"{entry[:-1]}ies"
    return f"{entry}es" if entry.endswith(("s", "x", "z", "ch", "sh")) else f"{entry}s"


def add_article(words: str) -> str:
    """`a` or `an` before `words`, by sound as far as the list needs it."""
    is_vowel = words[0] in "aeiou" and not words.startswith(("uni", "use", "usu", "one", "eu"))
    return f"{'an' if is_vowel or words.startswith(('hon', 'hour')) else 'a'} {words}"


def make_sentence(generator: np.random.Generator) -> str:
    """One sentence of at most 12 words, lower case, with its full stop or question mark."""

    def choose(options) -> str:
        return str(options[int(generator.integers(len(options)))])

    def fill(slot: re.Match[str]) -> str:
        return _fill_slot(slot[1], choose, generator)

    while True:
        sentence = re.sub(r"\{(\w+)\}", fill, choose(read_list("grammar")))
        if len(sentence.split()) <= MAX_WORDS:
            return sentence if sentence.endswith("?") else f"{sentence}."


def _fill_slot(slot: str, choose, generator: np.random.Generator) -> str:
    simple = {
        "adj": "adjectives",
        "name": "names",
        "place": "places",
        "adv": "adverbs",
        "time": "times",
        "abstract": "abstract",
    }
    if slot in simple:
        return choose(read_list(simple[slot]))
    if slot in ("do", "did", "does"):
        return choose(read_list("verbs_with_object")).split("/")[("do", "did", "does").index(slot)]
    if slot in ("go", "went"):
        return choose(read_list("verbs_alone")).split("/")[("go", "went").index(slot)]
    if slot in ("in", "at"):
        return choose(_PLACE_WORDS if slot == "in" else _SPOT_WORDS)
    if slot in ("num", "age", "big"):
        low, high = {"num": (2, 13), "age": (3, 99), "big": (10, 1000)}[slot]
        return say_number(int(generator.integers(low, high)))
    entry = choose(read_list("people" if slot in ("person", "people") else "nouns"))
    if slot in ("nouns", "people"):
        return make_plural(entry)
    noun = entry.split("/")[0]
    if slot == "a_noun":
        return add_article(noun)
    if slot == "a_adj":
        return add_article(choose(read_list("adjectives")))
    assert slot in ("noun", "person"), f"the grammar has an unknown slot {slot}"
    return noun


def iterate_sentences(split: Split, seed: int) -> Iterator[str]:
    """Distinct sentences of a split, without end, by seed."""
    generator = np.random.default_rng((seed, 21))
    seen: set[str] = set()
    while True:
        sentence = make_sentence(generator)
        if sentence not in seen and split_of(sentence) == split:
            seen.add(sentence)
            yield sentence
