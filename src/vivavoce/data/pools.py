"""Bounded pools of items, one a task and split, by seed: all that is ever asked and answered in the small world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np

from vivavoce.data.answers import Answer
from vivavoce.data.dictation import Dictated, iterate_dictated
from vivavoce.data.drawing_tasks import DRAWING_TASKS
from vivavoce.data.example import Sound, Split
from vivavoce.data.facts import list_facts
from vivavoce.data.items import (
    Item,
    ask_about,
    choose,
    find_plural,
    number_forms,
    other_numbers,
    reply_to,
    thing_forms,
)
from vivavoce.data.manners import KINDS, list_manners
from vivavoce.data.reading import add_article, iterate_sentences, read_list
from vivavoce.data.seeing_tasks import FILM_TASKS, PICTURE_TASKS
from vivavoce.data.sounds import SOUND_NAMES, list_sounds
from vivavoce.spoken import say_number

POOL_SEED = 0
_SIZES = {
    "name": 1500, "colour": 1500, "count": 2000, "place": 1000, "size": 500, "exists": 900, "relation": 800, "read": 900,
    "describe": 1600, "film_event": 900, "film_direction": 400, "film_name": 500, "film_count": 500, "draw": 3500,
    "copy": 400, "recolour": 700, "recount": 400, "film_last": 300, "film_thing": 300, "sound_count": 600,
    "sound_name": 300, "sound_describe": 300, "read_aloud": 36000, "write_down": 30000,
}  # fmt: skip
"""Items of the training pool. Chosen: about 44,000 texts that users say and 42,000 that the model says."""
_NUM_DICTATED = 24000
"""What else `write_down` has in training (`dictation.py`)."""
_TEST_SHARE = 0.15
_TEST_SIZES = {"write_down": 1200}
"""Where that share would be needlessly many."""
SPLIT_SEEDS = {"train": 0, "test": 1}
WRITE_DOWN_SYSTEM = "write down what you hear."


def _about_sound_count(split: Split, generator: np.random.Generator) -> Item:
    sound, plural, noun = _sample_sound(split, generator)
    ask, is_new = ask_about("sound_count", split, generator, ns=plural)
    say = reply_to("sound_count", ask, num=say_number(sound.count), ns=noun)
    answer = Answer("keys", say, (number_forms(sound.count),), other_numbers(sound.count))
    return Item("sound_count", ask, say, answer, sound=sound, is_new=is_new)


def _about_sound_name(split: Split, generator: np.random.Generator) -> Item:
    sound, _, _ = _sample_sound(split, generator)
    ask, is_new = ask_about("sound_name", split, generator)
    say = reply_to("sound_name", ask, a_sound=add_article(sound.name))
    rivals = tuple(form for name in SOUND_NAMES if name != sound.name for form in thing_forms(name))
    return Item(
        "sound_name", ask, say, Answer("keys", say, (thing_forms(sound.name),), rivals), sound=sound, is_new=is_new
    )


def _about_sounds(split: Split, generator: np.random.Generator) -> Item:
    sound, _, noun = _sample_sound(split, generator)
    say = reply_to("sound_describe", "", num=say_number(sound.count), ns=noun)
    rivals = tuple(form for name in SOUND_NAMES if name != sound.name for form in thing_forms(name))
    answer = Answer("keys", say, (thing_forms(sound.name), number_forms(sound.count)), rivals)
    return Item("sound_describe", "", say, answer, sound=sound)


def _sample_sound(split: Split, generator: np.random.Generator) -> tuple[Sound, str, str]:
    name, count = choose(generator, list_sounds(split))
    sound = Sound(name, count, seed=int(generator.integers(2**31)))
    return sound, find_plural(name), name if count == 1 else find_plural(name)


_SAMPLED: dict[str, Callable[[Split, np.random.Generator], Item]] = {
    **{name: task.make for name, task in PICTURE_TASKS.items()},
    **{name: task.make for name, task in FILM_TASKS.items()},
    **DRAWING_TASKS,
    "sound_count": _about_sound_count,
    "sound_name": _about_sound_name,
    "sound_describe": _about_sounds,
}


def _dictate(text: str) -> Item:
    return Item("write_down", text, text, Answer("words", text), system=WRITE_DOWN_SYSTEM)


def _list_reading(task: str, split: Split, num: int, seed: int) -> list[Item]:
    # the two tasks have sentences of their own: what is heard is not what is spoken
    generator = np.random.default_rng((seed, SPLIT_SEEDS[split], task == "read_aloud"))
    sentences = iterate_sentences(split, seed * 2 + (task == "read_aloud"))
    items: list[Item] = []
    for sentence in islice(sentences, num):
        text = sentence
        # in training, one in eight is short: words and pairs of words, as short answers are
        if split == "train" and generator.random() < 0.125:
            text = (
                f"{choose(generator, read_list('adjectives'))} {choose(generator, read_list('nouns')).split('/')[0]}."
            )
        item = _dictate(text) if task == "write_down" else Item(task, text, text, Answer("words", text))
        if task == "read_aloud" or generator.random() < 0.4:
            ask, is_new = ask_about(task, split, generator, s=text)
            item = replace(item, ask=ask, is_new=is_new, system="")
        items.append(item)
    return items


@lru_cache(maxsize=1)
def _list_dictated(seed: int) -> tuple[Dictated, ...]:
    questions = {task: list_items(task, "train", seed) for task in TASKS if task not in ("read_aloud", "write_down")}
    return tuple(islice(iterate_dictated(questions, seed), _NUM_DICTATED))


@lru_cache(maxsize=64)
def list_reworded(task: str, seed: int = POOL_SEED) -> tuple[Item, ...]:
    """Questions of a task in training that are spoken in other wordings than the pool's: what is dictated, asked. Empty for a
    task whose items ask nothing."""
    return tuple(one.item for one in _list_dictated(seed) if one.item is not None and one.task == task)


@lru_cache(maxsize=4)
def list_typed_aloud(task: str) -> tuple[Item, ...]:
    """Questions of a task in training in the wordings of typed ones (`Item.typed`), to be spoken: each ends with a mark, its item's if that
    has one."""
    return tuple(
        replace(item, ask=wording.rstrip(".?") + (item.ask[-1] if item.ask.endswith("?") else "."))
        for item in list_items(task, "train")
        for wording in item.typed
    )


@lru_cache(maxsize=64)
def list_items(task: str, split: Split, seed: int = POOL_SEED) -> tuple[Item, ...]:
    """The pool of a task in a split. The same arguments give the same items, in the same order.

    Raises: KeyError for a task that is not in `TASKS`.
    """
    if task == "fact":
        # `system` marked the wording that training keeps; from here on it is what the client says
        return tuple(replace(item, system="") for item in list_facts(split))
    if task in KINDS:
        return tuple(list_manners(task, split))
    num = _SIZES[task] if split == "train" else _TEST_SIZES.get(task, max(100, int(_SIZES[task] * _TEST_SHARE)))
    if task in ("read_aloud", "write_down"):
        is_dictated = task == "write_down" and split == "train"
        dictated = [one.text for one in _list_dictated(seed)] if is_dictated else []
        return (*_list_reading(task, split, num, seed), *(_dictate(text) for text in dictated))
    generator = np.random.default_rng((seed, SPLIT_SEEDS[split], list(TASKS).index(task), 41))
    return tuple(_SAMPLED[task](split, generator) for _ in range(num))


TASKS = ("fact", *KINDS, *_SIZES)
"""Every task that has a pool."""


class SpokenText(NamedTuple):
    """A text that is spoken somewhere in the curriculum."""

    role: Literal["user", "preset"]
    text: str


def iterate_spoken_texts(split: Split, seed: int = POOL_SEED) -> Iterator[SpokenText]:
    """Every distinct text that is ever spoken in a split: by users, and by the model in its preset voice."""
    from vivavoce.data.live import list_live_texts

    seen: set[SpokenText] = set()
    for text in list_live_texts(split):
        yield from _once(SpokenText("user", text), seen)
    for task in TASKS:
        for item in list_items(task, split, seed):
            if item.ask and task != "read_aloud":
                yield from _once(SpokenText("user", item.ask), seen)
            if task != "write_down":
                yield from _once(SpokenText("preset", item.say), seen)


def _once(spoken: SpokenText, seen: set[SpokenText]) -> Iterator[SpokenText]:
    if spoken not in seen:
        seen.add(spoken)
        yield spoken


def iterate_text_corpus(seed: int = POOL_SEED) -> Iterator[str]:
    """Every prompt and reply of the training split, repeats included, for training the text tokenizer."""
    for task in TASKS:
        for item in list_items(task, "train", seed):
            yield from (text for text in (item.ask, item.say, item.system) if text)
