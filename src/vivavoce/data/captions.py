"""Pictures and film frames of the small world with what they show in words, for an eye to learn alone."""

from __future__ import annotations

import numpy as np

from vivavoce.content import Image
from vivavoce.data.drawing import draw_film, draw_scene
from vivavoce.data.example import Split
from vivavoce.data.items import choose, name_group
from vivavoce.data.rounds import choose_kind
from vivavoce.data.scene import Group
from vivavoce.data.scenes import FILM_KINDS, sample_film, sample_scene
from vivavoce.data.seeing_tasks import describe_scene
from vivavoce.data.styles import choose_style

_FRAME_SHARE = 0.25
NOTHING = "nothing"
"""The caption of an empty frame."""


def make_captioned(split: Split, generator: np.random.Generator) -> tuple[Image, str]:
    """A picture and its caption: `a red ball left of a blue cube`, `three green cats`, `the word up`."""
    style, _ = choose_style(split, generator)
    if generator.random() >= _FRAME_SHARE:
        scene = sample_scene(choose_kind(generator), split, generator)
        return draw_scene(scene, style), describe_scene(scene)
    film = sample_film(choose(generator, FILM_KINDS), split, generator)
    things = film.frames[int(generator.integers(len(film.frames)))]
    caption = name_group(Group(film.group.name, film.group.colour, count=len(things))) if things else NOTHING
    return Image(draw_film([things], style).frames[0]), caption
