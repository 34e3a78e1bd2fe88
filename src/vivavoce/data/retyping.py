"""Typed questions in more wordings, for training: what people write around a question, and what they leave out of it.

What is spoken is rendered once, so its wordings are few; what is typed costs nothing. Nothing here knows the wordings that
tests keep to themselves.
"""

from __future__ import annotations

import numpy as np

from vivavoce.data.example import Split
from vivavoce.data.items import choose

RETYPED_SHARE = 0.45
"""Of questions typed in training, how many are reworded. chosen."""
BARE_SHARE = 0.4
"""Of questions typed, how many lose their last mark."""
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
    return ask.rstrip(".?") if generator.random() < BARE_SHARE else ask
