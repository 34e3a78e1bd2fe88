"""Typed questions in more wordings, for training: other words for the same (`wordings.yaml`), what people write around a
question, and what they leave out of it.

What is spoken is rendered once, so its wordings are few; what is typed costs nothing. Nothing here knows the wordings that
tests keep to themselves.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from vivavoce.data.example import Split
from vivavoce.data.items import Item, choose, load_table
from vivavoce.data.reading import read_list

REWORDED_SHARE = 0.6
"""Of questions typed in training, how many are in other words altogether. chosen."""
RETYPED_SHARE = 0.3
"""Of questions typed in training, how many have something put around them or begin otherwise. chosen."""
BARE_SHARE = 0.4
"""Of questions typed, how many lose their last mark."""
MUDDLED_SHARE = 0.15
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


def type_question(item: Item, split: Split, generator: np.random.Generator) -> str:
    """What `item` asks as somebody types it: perhaps without its last mark and, in training, perhaps in other words that ask
    the same."""
    ask = item.ask
    if split == "train":
        others = list_others(item)
        if others and generator.random() < REWORDED_SHARE:
            ask = choose(generator, others)
        if generator.random() < RETYPED_SHARE:
            ask = _retype(ask, generator)
        if generator.random() < MUDDLED_SHARE:
            ask = _muddle(ask, generator)
    return ask.rstrip(".?") if generator.random() < BARE_SHARE else ask


def list_others(item: Item) -> tuple[str, ...]:
    """Other wordings of what `item` asks; none for a text to be read aloud or for a wording that is nowhere listed."""
    if item.typed:
        return item.typed
    # `count` is asked in two ways, so the kind of wording is not always the task's
    return next((found for kind in (item.task, f"{item.task}_any") if (found := _reword(kind, item.ask))), ())


@lru_cache(maxsize=20_000)
def _reword(kind: str, ask: str) -> tuple[str, ...]:
    others = load_table("wordings")["phrasings"].get(kind, ())
    for pattern in _patterns(kind) if others else ():
        if found := pattern.fullmatch(ask):
            return tuple(form.format(**found.groupdict()) for form in others)
    return ()


@lru_cache
def _patterns(kind: str) -> tuple[re.Pattern[str], ...]:
    return tuple(_make_pattern(form) for form in load_table("phrasings")[kind]["ask"])


def _make_pattern(form: str) -> re.Pattern[str]:
    """A wording with its slots as groups; a slot that comes again must be filled as before."""
    seen: set[str] = set()
    parts = []
    for part in re.split(r"(\{\w+\})", form):
        name = part.strip("{}")
        is_slot = part.startswith("{")
        parts.append(re.escape(part) if not is_slot else f"(?P={name})" if name in seen else f"(?P<{name}>.+)")
        seen |= {name} if is_slot else set()
    return re.compile("".join(parts))


def _retype(ask: str, generator: np.random.Generator) -> str:
    options = [(old, new) for old, new in _SHORTER if ask.startswith(old)]
    if options and generator.random() < 0.6:
        old, new = choose(generator, options)
        return new + ask.removeprefix(old)
    pattern = choose(generator, _AROUND)
    return pattern.format(x=ask.rstrip(".?") if pattern.startswith("{x}") else ask)


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
