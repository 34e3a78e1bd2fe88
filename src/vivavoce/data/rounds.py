"""Rounds of questions in text: about one picture or film (`looking`), and about what the small world knows (`knowing`).

A picture costs 64 steps to read however much is asked about it, and a question typed costs a third of one spoken, so this is
where most of seeing and knowing is learned.
"""

from __future__ import annotations

import numpy as np

from vivavoce.content import Conversation, Message, Part, Text
from vivavoce.data.drawing import draw_film, draw_scene
from vivavoce.data.drawing_tasks import drawn_item
from vivavoce.data.example import Example, Split, find_modalities
from vivavoce.data.items import Item, choose
from vivavoce.data.pools import list_items
from vivavoce.data.retyping import type_question
from vivavoce.data.scenes import FILM_KINDS, SCENE_KINDS, FilmKind, SceneKind, sample_film, sample_scene
from vivavoce.data.seeing_tasks import FILM_TASKS, PICTURE_TASKS
from vivavoce.data.styles import choose_style

_FILM_SHARE = 0.25
_QUESTIONS = (2, 5)
"""At least and at most, where a picture has as many; fewer when two have the same answer."""
_KNOWING: dict[str, float] = {"fact": 0.7, "talk": 0.08, "decline": 0.1, "allow": 0.12}
_SCENE_SHARES: dict[SceneKind, float] = {
    "single": 0.25, "placed": 0.15, "many": 0.22, "pair": 0.18, "groups": 0.08, "digits": 0.06, "word": 0.06,
}  # fmt: skip
_ASKED_AGAIN = ("exists", "colour", "count")
"""Questions that have other answers when asked about another thing."""


def make_looking(split: Split, generator: np.random.Generator, example_id: str) -> Example:
    """A picture or film with up to five questions about it; the last answer is the one that counts."""
    part, items, is_new_style = (_watch if generator.random() < _FILM_SHARE else _look)(split, generator)
    marks = "-new_style" if is_new_style else ""
    return _ask_in_turn("looking", [part], items, split, generator, f"{example_id}-looking{marks}")


def make_knowing(split: Split, generator: np.random.Generator, example_id: str) -> Example:
    """Two to five questions that need no picture; the last answer is the one that counts."""
    least, most = _QUESTIONS
    count = int(generator.integers(least, most + 1))
    tasks = generator.choice(list(_KNOWING), size=count, p=list(_KNOWING.values())).tolist()
    items = [choose(generator, list_items(task, split)) for task in tasks]
    return _ask_in_turn("knowing", [], _drop_repeated(items), split, generator, f"{example_id}-knowing")


def _ask_in_turn(
    task: str, shown: list[Part], items: list[Item], split: Split, generator: np.random.Generator, example_id: str
) -> Example:
    messages: list[Message] = []
    for number, item in enumerate(items):
        ask = type_question(item, split, generator)
        parts = (*shown, Text(ask)) if number == 0 else (Text(ask),)
        messages += [Message("user", parts), Message("assistant", (Text(item.say),))]
    marks = "-new_phrasing" if any(item.is_new for item in items) else ""
    return Example(
        f"{example_id}{marks}",
        task,
        split,
        find_modalities(messages[-2]),
        frozenset({"text"}),
        Conversation(tuple(messages)),
        items[-1].answer,
    )


def choose_kind(generator: np.random.Generator) -> SceneKind:
    """What kind of scene is looked at."""
    shares = np.array([_SCENE_SHARES[kind] for kind in SCENE_KINDS])
    return SCENE_KINDS[int(generator.choice(len(SCENE_KINDS), p=shares / shares.sum()))]


def _look(split: Split, generator: np.random.Generator) -> tuple[Part, list[Item], bool]:
    kind = choose_kind(generator)
    scene = sample_scene(kind, split, generator)
    asks = {name: task.ask for name, task in PICTURE_TASKS.items() if kind in task.kinds} | {"drawn": drawn_item}
    items = [asks[name](scene, split, generator) for name in _choose_questions(list(asks), generator)]
    style, is_new = choose_style(split, generator)
    return draw_scene(scene, style), _drop_repeated(items), is_new


def _watch(split: Split, generator: np.random.Generator) -> tuple[Part, list[Item], bool]:
    kind: FilmKind = choose(generator, FILM_KINDS)
    film = sample_film(kind, split, generator)
    tasks = [name for name, task in FILM_TASKS.items() if kind in task.kinds]
    items = [FILM_TASKS[name].ask(film, split, generator) for name in _choose_questions(tasks, generator)]
    style, is_new = choose_style(split, generator)
    return draw_film(list(film.frames), style), _drop_repeated(items), is_new


def _choose_questions(tasks: list[str], generator: np.random.Generator) -> list[str]:
    """Some of `tasks` in any order, those that can be asked again perhaps twice."""
    options = [*tasks, *(name for name in tasks if name in _ASKED_AGAIN)]
    least, most = _QUESTIONS
    count = min(len(options), int(generator.integers(least, most + 1)))
    return [options[idx] for idx in generator.permutation(len(options))[:count]]


def _drop_repeated(items: list[Item]) -> list[Item]:
    seen: dict[str, Item] = {}
    for item in items:
        seen.setdefault(item.say, item)
    return list(seen.values())
