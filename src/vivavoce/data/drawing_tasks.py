"""Requests to draw: from words, from a picture, from a film. The right answer is a scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vivavoce.data.answers import Answer
from vivavoce.data.example import Split
from vivavoce.data.items import Item, ask_about, choose, group_forms, name_group, reply_to
from vivavoce.data.scene import Group, Scene
from vivavoce.data.scenes import COLOUR_NAMES, Film, SceneKind, is_held_out, sample_film, sample_scene
from vivavoce.data.seeing_tasks import describe_scene
from vivavoce.spoken import say_number

_DRAW_KINDS: tuple[SceneKind, ...] = (
    "single", "single", "single", "single", "many", "many", "placed", "placed", "pair", "digits", "word",
)  # fmt: skip
_TYPED_KINDS: tuple[SceneKind, ...] = (
    "single", "placed", "many", "many", "pair", "pair", "pair", "groups", "groups", "digits", "digits",
    "word", "word", "word", "word", "word",
)  # fmt: skip
"""What training asks for in writing: of things mostly several at once, which cannot be learned by heart as one thing of one
colour can, and many words, whose letters take longest to learn (experiments/LOG.md)."""


def draw_typed(split: Split, generator: np.random.Generator) -> Item:
    """A request to draw that is in no pool: what is typed need not be rendered, so no two need be alike."""
    return _draw(split, generator, _TYPED_KINDS)


def _draw(split: Split, generator: np.random.Generator, kinds: tuple[SceneKind, ...] = _DRAW_KINDS) -> Item:
    scene = sample_scene(choose(generator, kinds), split, generator)
    what = name_target(scene)
    ask, is_new = ask_about("draw", split, generator, what=what)
    return drawing_item("draw", ask, is_new, scene)


def name_target(scene: Scene) -> str:
    """A scene in words that say all that must be drawn, the colour of writing too."""
    return f"{describe_scene(scene)} in {scene.written_colour}" if scene.written else describe_scene(scene)


def drawing_item(
    task: str, ask: str, is_new: bool, target: Scene, *, scene: Scene | None = None, film: Film | None = None
) -> Item:
    """An item whose right answer is the drawing of `target`; when it is also spoken, the words name what was drawn."""
    say = _present(task, ask, target)
    answer = Answer("keys", say, _target_keys(target), scene=target)
    return Item(task, ask, say, answer, scene=scene, film=film, target=target, is_new=is_new)


def drawn_item(scene: Scene, split: Split, generator: np.random.Generator) -> Item:
    """An item that shows a drawing and asks the one who made it what it is; answered in the words that go with drawing it."""
    ask, is_new = ask_about("drawn", split, generator)
    say = _present("draw", ask, scene)
    return Item("drawn", ask, say, Answer("keys", say, _target_keys(scene)), scene=scene, is_new=is_new)


def _present(task: str, ask: str, target: Scene) -> str:
    short = name_target(target) if target.written else " and ".join(name_group(group) for group in target.groups)
    say = reply_to(task, ask, what=short)
    is_one = sum(group.count for group in target.groups) <= 1
    return say if is_one else say.replace("here is", "here are")


def _target_keys(target: Scene) -> tuple[tuple[str, ...], ...]:
    if target.written:
        return ((say_number(int(target.written)) if target.written.isdigit() else target.written,),)
    return tuple(group_forms(group) for group in target.groups)


def _copy(split: Split, generator: np.random.Generator) -> Item:
    scene = sample_scene(choose(generator, ("single", "single", "placed", "many")), split, generator)
    ask, is_new = ask_about("copy", split, generator)
    return drawing_item("copy", ask, is_new, scene, scene=scene)


def _recolour(split: Split, generator: np.random.Generator) -> Item:
    target = sample_scene("single", split, generator)
    wanted = target.groups[0]
    before = [
        colour
        for colour in COLOUR_NAMES
        if colour != wanted.colour and (split == "test" or not is_held_out(wanted.name, colour))
    ]
    scene = Scene((replace(wanted, colour=choose(generator, before)),))
    ask, is_new = ask_about("recolour", split, generator, c=wanted.colour)
    return drawing_item("recolour", ask, is_new, target, scene=scene)


def _recount(split: Split, generator: np.random.Generator) -> Item:
    scene = sample_scene("single", split, generator)
    one = replace(scene.groups[0], size="big")
    count = int(generator.integers(2, 6))
    ask, is_new = ask_about("recount", split, generator, num=say_number(count))
    return drawing_item("recount", ask, is_new, Scene((replace(one, count=count),)), scene=Scene((one,)))


def _film_last(split: Split, generator: np.random.Generator) -> Item:
    film = sample_film(choose(generator, ("count_up", "count_down", "appear", "still")), split, generator)
    ask, is_new = ask_about("film_last", split, generator)
    return drawing_item("film_last", ask, is_new, Scene((film.group,)), film=film)


def _film_thing(split: Split, generator: np.random.Generator) -> Item:
    film = sample_film(choose(generator, ("move", "vanish", "still")), split, generator)
    ask, is_new = ask_about("film_thing", split, generator)
    target = Scene((Group(film.group.name, film.group.colour),))
    return drawing_item("film_thing", ask, is_new, target, film=film)


DRAWING_TASKS: dict[str, Callable[[Split, np.random.Generator], Item]] = {
    "draw": _draw,
    "copy": _copy,
    "recolour": _recolour,
    "recount": _recount,
    "film_last": _film_last,
    "film_thing": _film_thing,
}
