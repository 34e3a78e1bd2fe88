"""What is in a picture, as values: groups of one thing in one colour, where they are, or something written.

A scene says what must be seen, not how it is drawn: style (jitter, background, outline) is the renderer's, by seed.
"""

from __future__ import annotations

from dataclasses import dataclass

PLACES = ("left", "right", "top", "bottom", "centre")
SIZES = ("small", "big")
MAX_COUNT = 5


@dataclass(frozen=True, slots=True)
class Group:
    """`count` things of one name, colour and size, together at one place."""

    name: str
    colour: str
    count: int = 1
    place: str = "centre"
    size: str = "big"


@dataclass(frozen=True, slots=True)
class Scene:
    """Up to three groups, or something written (digits or a word, in `written_colour`), or neither: an empty ground."""

    groups: tuple[Group, ...] = ()
    written: str = ""
    written_colour: str = ""
