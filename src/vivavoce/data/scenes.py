"""Samples scenes and films by seed, and says which (thing, colour) pairs are kept for testing.

Training scenes hold no held-out pair; test scenes hold nothing else. Every thing and every colour occurs in both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from typing import Literal

import numpy as np

from vivavoce.data.drawing import COLOURS, Spot
from vivavoce.data.example import Split
from vivavoce.data.scene import Group, Scene
from vivavoce.data.shapes import THINGS

COLOUR_NAMES = tuple(COLOURS)
_HELD_OUT_MODULUS = 7


def is_held_out(name: str, colour: str) -> bool:
    """Whether (thing, colour) is kept for testing: 40 of 280 pairs, one or two of each thing, four of each colour."""
    return (3 * THINGS.index(name) + COLOUR_NAMES.index(colour)) % _HELD_OUT_MODULUS == 0


def is_written_held_out(text: str, colour: str) -> bool:
    """The same for (written word or number, colour)."""
    return (3 * list_written().index(text) + COLOUR_NAMES.index(colour)) % _HELD_OUT_MODULUS == 0


@lru_cache
def list_written() -> tuple[str, ...]:
    """Everything that may be written in a picture: 0 to 99, then the words of `written_words.txt`."""
    words = resources.files("vivavoce.data").joinpath("written_words.txt").read_text().split()
    return (*map(str, range(100)), *words)


@lru_cache
def _pairs(split: Split) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, colour) for name in THINGS for colour in COLOUR_NAMES if is_held_out(name, colour) == (split == "test")
    )


def _choose(generator: np.random.Generator, options):
    return options[int(generator.integers(len(options)))]


def sample_pair(split: Split, generator: np.random.Generator, *, avoid: Group | None = None) -> tuple[str, str]:
    """A (thing, colour) of the split; with `avoid`, one that differs from it in both."""
    while True:
        name, colour = _choose(generator, _pairs(split))
        if avoid is None or (name != avoid.name and colour != avoid.colour):
            return name, colour


SceneKind = Literal["single", "placed", "many", "pair", "groups", "digits", "word"]
SCENE_KINDS: tuple[SceneKind, ...] = ("single", "placed", "many", "pair", "groups", "digits", "word")


def sample_scene(kind: SceneKind, split: Split, generator: np.random.Generator) -> Scene:
    """A scene of one kind.

    single: one thing in the centre, big or small. placed: one thing at a side. many: two to five of one thing. pair: two
    things beside or above each other. groups: one to three each of two things. digits, word: something written.
    """
    if kind in ("digits", "word"):
        return _sample_written(kind == "digits", split, generator)
    name, colour = sample_pair(split, generator)
    if kind == "single":
        return Scene((Group(name, colour, size=_choose(generator, ("big", "big", "small"))),))
    if kind == "placed":
        return Scene((Group(name, colour, place=_choose(generator, ("left", "right", "top", "bottom"))),))
    if kind == "many":
        return Scene((Group(name, colour, count=int(generator.integers(2, 6))),))
    first, second = _choose(generator, (("left", "right"), ("top", "bottom")))
    group = Group(name, colour, place=first)
    other_name, other_colour = sample_pair(split, generator, avoid=group)
    other = Group(other_name, other_colour, place=second)
    if kind == "groups":
        group = replace(group, count=int(generator.integers(1, 4)))
        other = replace(other, count=int(generator.integers(1, 4)))
    return Scene((group, other))


def _sample_written(is_number: bool, split: Split, generator: np.random.Generator) -> Scene:
    options = list_written()[:100] if is_number else list_written()[100:]
    while True:
        text, colour = _choose(generator, options), _choose(generator, COLOUR_NAMES)
        if is_written_held_out(text, colour) == (split == "test"):
            return Scene(written=text, written_colour=colour)


FilmKind = Literal["move", "appear", "vanish", "count_up", "count_down", "still"]
FILM_KINDS: tuple[FilmKind, ...] = ("move", "appear", "vanish", "count_up", "count_down", "still")
DIRECTIONS = ("left", "right", "up", "down")
_SLOTS = [Spot(x, y, 0.27) for x, y in ((-0.55, -0.5), (0.55, -0.5), (-0.55, 0.5), (0.55, 0.5), (0.0, 0.0))]


@dataclass(frozen=True, slots=True)
class Film:
    """What happens in a film of one thing.

    group: the thing; its count is the number seen at the end. direction: of a move. start_count: seen at the start.
    frames: for each frame, (name, colour, spot) of every thing, as `drawing.draw_film` takes them.
    """

    kind: FilmKind
    group: Group
    start_count: int
    direction: str
    frames: tuple[tuple[tuple[str, str, Spot], ...], ...]


def sample_film(kind: FilmKind, split: Split, generator: np.random.Generator, num_frames: int = 4) -> Film:
    """A film of `num_frames` frames. A change falls in the middle, so that the first and last frame tell it too."""
    name, colour = sample_pair(split, generator)
    if kind in ("count_up", "count_down"):
        return _sample_count_film(kind, name, colour, generator, num_frames)
    half = float(generator.uniform(0.32, 0.4))
    if kind == "move":
        direction = _choose(generator, DIRECTIONS)
        step = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}[direction]
        across = float(generator.uniform(-0.3, 0.3))
        places = np.linspace(-0.58, 0.58, num_frames)
        spots = [Spot(p * step[0] + across * abs(step[1]), p * step[1] + across * abs(step[0]), half) for p in places]
        frames = tuple(((name, colour, spot),) for spot in spots)
        return Film(kind, Group(name, colour), 1, direction, frames)
    spot = Spot(float(generator.uniform(-0.45, 0.45)), float(generator.uniform(-0.45, 0.45)), half)
    shown, empty = ((name, colour, spot),), ()
    before = num_frames // 2
    seen = {
        "appear": [empty] * before + [shown] * (num_frames - before),
        "vanish": [shown] * before + [empty] * (num_frames - before),
        "still": [shown] * num_frames,
    }[kind]
    return Film(kind, Group(name, colour, count=int(kind != "vanish")), int(kind != "appear"), "", tuple(seen))


def _sample_count_film(kind: FilmKind, name: str, colour: str, generator: np.random.Generator, num_frames: int) -> Film:
    low, high = sorted(generator.choice(np.arange(1, 6), size=2, replace=False).tolist())
    start, end = (low, high) if kind == "count_up" else (high, low)
    order = generator.permutation(len(_SLOTS))
    things = [(name, colour, _SLOTS[idx]) for idx in order]
    before = num_frames // 2
    frames = (*[tuple(things[:start])] * before, *[tuple(things[:end])] * (num_frames - before))
    return Film(kind, Group(name, colour, count=end), start, "", frames)
