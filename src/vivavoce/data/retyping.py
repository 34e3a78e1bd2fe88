"""Typed questions in more wordings, for training: what people write around a question, and what they leave out of it.

What is spoken is rendered once, so its wordings are few; what is typed costs nothing. Nothing here knows the wordings that
tests keep to themselves.
"""

from __future__ import annotations

import numpy as np

from vivavoce.data.example import Split
from vivavoce.data.items import choose
from vivavoce.data.reading import read_list

RETYPED_SHARE = 0.45
"""Of questions typed in training, how many are reworded. chosen."""
BARE_SHARE = 0.4
"""Of questions typed, how many lose their last mark."""
MUDDLED_SHARE = 0.3
"""Of questions typed in training, how many have words lost or taken for others. A network that has read the same few wordings
thousands of times takes any other for a question of another kind (experiments/LOG.md)."""
_LOOSE = (
    "what",
    "which",
    "is",
    "does",
    "can",
    "see",
    "this",
    "that",
    "it",
    "in",
    "the",
    "thing",
    "tell",
    "me",
    "picture",
    "film",
)
"""Words that may go: what is asked about, and of what, stays."""
_AROUND = (
    "please, {x}", "{x} please", "hey, {x}", "ok, {x}", "viva, {x}", "so {x}", "now, {x}", "hi, {x}", "i want to know: {x}",
    "a question: {x}", "next: {x}", "and {x}", "{x} thank you", "tell me, {x}", "say, {x}", "well, {x}", "once more: {x}",
)  # fmt: skip
_SHORTER = (
    ("what is the ", "the "), ("what is ", "what's "), ("what is ", ""), ("tell me ", "i want to know "), ("tell me ", "say "),
    ("tell me the ", "the "), ("do you know ", ""), ("how many ", "number of "), ("is there an ", "any "), ("is there a ", "any "), ("do you see ", "see "),
    ("draw ", "please draw "), ("draw ", "make a picture of "), ("draw ", "i want a drawing of "), ("which ", "what "),
    ("name ", "tell me the name of "), ("count ", "please count "), ("can you ", "will you "), ("where is ", "where's "),
)  # fmt: skip
"""Beginnings and what may stand for them."""


def type_question(ask: str, split: Split, generator: np.random.Generator) -> str:
    """`ask` as somebody types it: perhaps without its last mark and, in training, perhaps in other words that ask the same."""
    if split == "train" and generator.random() < RETYPED_SHARE:
        options = [(old, new) for old, new in _SHORTER if ask.startswith(old)]
        if options and generator.random() < 0.6:
            old, new = choose(generator, options)
            ask = new + ask.removeprefix(old)
        else:
            pattern = choose(generator, _AROUND)
            ask = pattern.format(x=ask.rstrip(".?") if pattern.startswith("{x}") else ask)
    if split == "train" and generator.random() < MUDDLED_SHARE:
        ask = _muddle(ask, generator)
    return ask.rstrip(".?") if generator.random() < BARE_SHARE else ask


def _muddle(ask: str, generator: np.random.Generator) -> str:
    """Each loose word is lost or becomes some verb one time in five; two words at least stay."""
    words = ask.split()
    fates = generator.random(len(words))
    kept = [
        choose(generator, read_list("verbs_alone")).split("/")[0] if fate < 0.1 and _is_loose(word) else word
        for word, fate in zip(words, fates)
        if fate < 0.1 or fate >= 0.2 or not _is_loose(word)
    ]
    return " ".join(kept if len(kept) > 1 else words)


def _is_loose(word: str) -> bool:
    return word.strip(".,?") in _LOOSE
