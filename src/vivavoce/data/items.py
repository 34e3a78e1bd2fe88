"""What a task asks and what is right: an item, before it is decided who says it how.

A curriculum draws items from bounded pools, so that every text which is ever spoken can be listed and rendered once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from vivavoce.data.answers import Answer
from vivavoce.data.example import Sound, Split
from vivavoce.data.reading import add_article, make_plural, read_list
from vivavoce.data.scene import Group, Scene
from vivavoce.data.scenes import COLOUR_NAMES, Film
from vivavoce.data.shapes import THINGS
from vivavoce.spoken import say_number

_NEW_PHRASING_SHARE = 0.3
"""Share of test questions in a wording that training never shows."""
_TEST_SHARE_OF_256 = 36
"""Of questions whose wording alone tells the splits apart, about one in seven is for testing."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing asked and rightly answered.

    ask: the words of the prompt; empty where a picture, film or sound comes alone. say: the words of the reply.
    scene, film, sound: what comes with the prompt. target: what is to be drawn. is_new: the wording is test-only.
    typed: other wordings of it, which training types.
    """

    task: str
    ask: str
    say: str
    answer: Answer
    scene: Scene | None = None
    film: Film | None = None
    sound: Sound | None = None
    target: Scene | None = None
    is_new: bool = False
    system: str = ""
    typed: tuple[str, ...] = ()


@lru_cache
def load_table(name: str) -> dict[str, Any]:
    """A YAML file of this package: facts, manners, phrasings, wordings."""
    return yaml.safe_load(resources.files("vivavoce.data").joinpath(f"{name}.yaml").read_text())


def choose(generator: np.random.Generator, options):
    """One of a sequence."""
    return options[int(generator.integers(len(options)))]


def choose_by_text(options: Sequence[str], text: str, place: int) -> str:
    """One of a sequence, the same for the same text; `place` tells choices from one text apart (a byte of its digest)."""
    return options[hashlib.sha256(text.encode()).digest()[place] % len(options)]


def split_of_wording(text: str) -> Split:
    """The split of a question that nothing but its wording assigns to one."""
    return "test" if hashlib.sha256(f"wording {text}".encode()).digest()[0] < _TEST_SHARE_OF_256 else "train"


def ask_about(task: str, split: Split, generator: np.random.Generator, **slots: str) -> tuple[str, bool]:
    """A wording of the task's question with its slots filled, and whether the wording is test-only."""
    table = load_table("phrasings")[task]
    is_new = split == "test" and generator.random() < _NEW_PHRASING_SHARE
    return choose(generator, table["ask_new" if is_new else "ask"]).format(**slots), is_new


def reply_to(task: str, ask: str, **slots: str) -> str:
    """The reply: which of its forms is taken depends on the question's wording alone."""
    return choose_by_text(load_table("phrasings")[task]["say"], ask, 1).format(**slots)


@lru_cache
def find_plural(name: str) -> str:
    """`cats` for `cat`, `leaves` for `leaf`."""
    entries = {entry.split("/")[0]: entry for entry in read_list("nouns")}
    return make_plural(entries.get(name, name))


def name_group(group: Group, *, has_size: bool = False) -> str:
    """`a red ball`, `three red balls`, `a small red ball`."""
    size = f"{group.size} " if has_size else ""
    if group.count == 1:
        return add_article(f"{size}{group.colour} {group.name}")
    return f"{say_number(group.count)} {size}{group.colour} {find_plural(group.name)}"


def thing_forms(name: str) -> tuple[str, ...]:
    """Singular and plural."""
    return tuple(dict.fromkeys((name, find_plural(name))))


def other_things(*names: str) -> tuple[str, ...]:
    """Every form of every thing but these."""
    return tuple(form for name in THINGS if name not in names for form in thing_forms(name))


def other_colours(*colours: str) -> tuple[str, ...]:
    """Every colour but these."""
    return tuple(colour for colour in COLOUR_NAMES if colour not in colours)


def other_numbers(*values: int, up_to: int = 30) -> tuple[str, ...]:
    """Numbers in words, 0 to `up_to`, but these."""
    return tuple(say_number(value) for value in range(up_to + 1) if value not in values)


def number_forms(value: int) -> tuple[str, ...]:
    """The word, and for one and none what people say instead."""
    extra = {0: ("no", "none"), 1: ("only a", "just a", "a single")}
    return (say_number(value), *extra.get(value, ()))


def group_forms(group: Group) -> tuple[str, ...]:
    """Phrases that name a group's colour and thing together."""
    return tuple(
        phrase
        for form in thing_forms(group.name)
        for phrase in (f"{group.colour} {form}", f"{form} is {group.colour}", f"{form} are {group.colour}")
    )
