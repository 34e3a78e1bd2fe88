"""What the things of the small world look like: flat shapes of our own, as polygons with roles.

Coordinates are in [-1, 1], x to the right, y down. Roles: `fill` is the thing's colour, `dark` and `light` are shades of it,
`hole` shows the ground. A shape says nothing of style; `drawing` and the judge's own renderer paint it each in their way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import numpy as np

Role = Literal["fill", "dark", "light", "hole"]


class Piece(NamedTuple):
    """A polygon, points [N, 2] float64, painted over what came before."""

    points: np.ndarray
    role: Role


def poly(role: Role, *points: float) -> Piece:
    """A polygon from x, y, x, y, ..."""
    return Piece(np.array(points, float).reshape(-1, 2), role)


def oval(role: Role, x: float, y: float, rx: float, ry: float | None = None, turn: float = 0.0) -> Piece:
    """An ellipse, turned by `turn` degrees."""
    angles = np.linspace(0, 2 * math.pi, 28, endpoint=False)
    points = np.stack([rx * np.cos(angles), (rx if ry is None else ry) * np.sin(angles)], axis=1)
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    return Piece(points @ np.array([[cos, sin], [-sin, cos]]) + np.array([x, y]), role)


def bar(role: Role, x0: float, y0: float, x1: float, y1: float, width: float) -> Piece:
    """A straight stroke with square ends."""
    along = np.array([x1 - x0, y1 - y0])
    across = np.array([-along[1], along[0]]) / (np.hypot(*along) or 1.0) * width / 2
    start, end = np.array([x0, y0]), np.array([x1, y1])
    return Piece(np.array([start + across, end + across, end - across, start - across]), role)


def arc(
    role: Role, x: float, y: float, radius: float, start: float, stop: float, width: float, ry: float | None = None
) -> Piece:
    """A stroke along part of an ellipse, from `start` to `stop` degrees (0 is to the right, 90 down)."""
    angles = np.radians(np.linspace(start, stop, 20))
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    other = radius if ry is None else ry
    outer, inner = ring * (radius + width / 2, other + width / 2), ring * (radius - width / 2, other - width / 2)
    return Piece(np.concatenate([outer, inner[::-1]]) + np.array([x, y]), role)


def star_points(
    num: int, outer: float, inner: float, x: float = 0.0, y: float = 0.0, turn: float = -90.0
) -> list[float]:
    """x, y, ... of a star with `num` tips."""
    angles = np.radians(turn + np.arange(2 * num) * 180 / num)
    radii = np.where(np.arange(2 * num) % 2 == 0, outer, inner)
    return np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1).ravel().tolist()


def _heart() -> list[Piece]:
    t = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return [Piece(np.stack([x / 17, y / 17], axis=1), "fill")]


def _moon() -> list[Piece]:
    outer = np.radians(np.linspace(60, 300, 26))
    inner = np.radians(np.linspace(285, 75, 22))
    points = [
        np.stack([0.95 * np.cos(outer) + 0.2, 0.95 * np.sin(outer)], axis=1),
        np.stack([0.8 * np.cos(inner) + 0.52, 0.8 * np.sin(inner)], axis=1),
    ]
    return [Piece(np.concatenate(points), "fill")]


def _sun() -> list[Piece]:
    rays = [
        bar("fill", 0.62 * math.cos(a), 0.62 * math.sin(a), 0.98 * math.cos(a), 0.98 * math.sin(a), 0.17)
        for a in np.radians(np.arange(0, 360, 45))
    ]
    return [*rays, oval("fill", 0, 0, 0.52)]


def _flower() -> list[Piece]:
    petals = [
        oval("fill", 0.44 * math.cos(a), -0.28 + 0.44 * math.sin(a), 0.3) for a in np.radians(np.arange(-90, 270, 72))
    ]
    return [
        bar("dark", 0, 0.1, 0, 0.98, 0.14),
        oval("dark", 0.3, 0.66, 0.28, 0.12, -30),
        *petals,
        oval("light", 0, -0.28, 0.22),
    ]


def _cat() -> list[Piece]:
    whiskers: list[Piece] = [
        bar("dark", side * 0.25, 0.3 + 0.1 * k, side * 0.95, 0.2 + 0.28 * k, 0.07) for side in (-1, 1) for k in (0, 1)
    ]
    return [
        poly("fill", -0.78, -0.95, -0.75, 0.1, -0.05, -0.45),
        poly("fill", 0.78, -0.95, 0.75, 0.1, 0.05, -0.45),
        oval("fill", 0, 0.18, 0.8, 0.72),
        oval("light", -0.32, 0.02, 0.15, 0.17),
        oval("light", 0.32, 0.02, 0.15, 0.17),
        poly("dark", -0.13, 0.28, 0.13, 0.28, 0, 0.44),
        *whiskers,
    ]


def _umbrella() -> list[Piece]:
    angles = np.radians(np.linspace(180, 360, 20))
    dome = np.stack([0.98 * np.cos(angles), 0.9 * np.sin(angles) + 0.1], axis=1)
    hem = np.array([[0.65, -0.08], [0.33, 0.1], [0, -0.08], [-0.33, 0.1], [-0.65, -0.08]])
    return [
        bar("dark", 0, -0.2, 0, 0.8, 0.12),
        arc("dark", 0.17, 0.78, 0.17, 0, 180, 0.12),
        Piece(np.concatenate([dome, hem]), "fill"),
    ]


def _leaf() -> list[Piece]:
    t = np.linspace(0, math.pi, 18)
    right = np.stack([0.5 * np.sin(t), -0.95 * np.cos(t) * 0.9 - 0.1], axis=1)
    left = np.stack([-0.5 * np.sin(t[::-1]), -0.95 * np.cos(t[::-1]) * 0.9 - 0.1], axis=1)
    veins = [bar("dark", 0, y, side * 0.3, y - 0.22, 0.06) for y in (-0.2, 0.15, 0.45) for side in (-1, 1)]
    return [Piece(np.concatenate([right, left]), "fill"), bar("dark", 0, -0.7, 0, 1.0, 0.09), *veins]


def _bird() -> list[Piece]:
    return [
        poly("fill", 0.45, 0.1, 1.0, -0.15, 0.95, 0.35),
        oval("fill", 0.08, 0.2, 0.62, 0.45, 8),
        oval("fill", -0.5, -0.3, 0.36),
        poly("dark", -0.8, -0.42, -1.0, -0.2, -0.78, -0.14),
        oval("light", -0.55, -0.38, 0.11),
        oval("dark", 0.2, 0.12, 0.36, 0.2, 20),
        bar("dark", -0.05, 0.6, -0.05, 0.95, 0.09),
        bar("dark", 0.25, 0.6, 0.25, 0.95, 0.09),
    ]


def _ladder() -> list[Piece]:
    rungs = [bar("fill", -0.42, y, 0.42, y, 0.15) for y in (-0.7, -0.23, 0.23, 0.7)]
    return [bar("fill", -0.45, -1, -0.45, 1, 0.18), bar("fill", 0.45, -1, 0.45, 1, 0.18), *rungs]


SHAPES: dict[str, Callable[[], list[Piece]]] = {
    "ball": lambda: [
        oval("fill", 0, 0, 0.92),
        arc("light", -1.2, 0, 1.0, -36, 36, 0.15),
        arc("light", 1.2, 0, 1.0, 144, 216, 0.15),
    ],
    "cube": lambda: [
        poly("fill", -0.9, -0.4, 0.35, -0.4, 0.35, 0.9, -0.9, 0.9),
        poly("light", -0.9, -0.4, -0.4, -0.9, 0.9, -0.9, 0.35, -0.4),
        poly("dark", 0.35, -0.4, 0.9, -0.9, 0.9, 0.4, 0.35, 0.9),
    ],
    "star": lambda: [poly("fill", *star_points(5, 1.0, 0.42))],
    "heart": _heart,
    "moon": _moon,
    "sun": _sun,
    "cloud": lambda: [
        oval("fill", -0.5, 0.15, 0.42),
        oval("fill", 0.5, 0.18, 0.4),
        oval("fill", -0.1, -0.15, 0.52),
        poly("fill", -0.5, 0.1, 0.5, 0.1, 0.5, 0.57, -0.5, 0.57),
    ],
    "tree": lambda: [
        poly("dark", -0.15, 0.5, 0.15, 0.5, 0.15, 1.0, -0.15, 1.0),
        poly("fill", 0, -1.0, 0.55, -0.2, -0.55, -0.2),
        poly("fill", 0, -0.55, 0.8, 0.55, -0.8, 0.55),
    ],
    "flower": _flower,
    "leaf": _leaf,
    "mushroom": lambda: [
        poly("light", -0.25, 0.0, 0.25, 0.0, 0.34, 0.95, -0.34, 0.95),
        Piece(np.concatenate([arc("fill", 0, 0.05, 0.46, 180, 360, 0.92, 0.45).points]), "fill"),
        oval("light", -0.4, -0.3, 0.14),
        oval("light", 0.12, -0.52, 0.15),
        oval("light", 0.5, -0.2, 0.12),
    ],
    "fish": lambda: [
        poly("fill", 0.4, 0, 1.0, -0.55, 0.88, 0, 1.0, 0.55),
        oval("fill", -0.2, 0, 0.74, 0.5),
        oval("light", -0.58, -0.12, 0.13),
        arc("dark", -0.62, 0, 0.42, -50, 50, 0.09),
        poly("dark", -0.1, -0.46, 0.3, -0.4, 0.2, -0.75),
    ],
    "bird": _bird,
    "cat": _cat,
    "house": lambda: [
        poly("fill", -0.7, -0.15, 0.7, -0.15, 0.7, 0.95, -0.7, 0.95),
        poly("dark", 0, -1.0, 0.95, -0.1, -0.95, -0.1),
        poly("light", -0.2, 0.35, 0.2, 0.35, 0.2, 0.95, -0.2, 0.95),
        poly("light", 0.35, 0.1, 0.58, 0.1, 0.58, 0.33, 0.35, 0.33),
    ],
    "car": lambda: [
        poly("fill", -0.55, -0.1, -0.35, -0.6, 0.35, -0.6, 0.6, -0.1),
        poly("fill", -1.0, -0.12, 0.95, -0.12, 1.0, 0.4, -1.0, 0.4),
        poly("light", -0.4, -0.12, -0.27, -0.47, -0.04, -0.47, -0.04, -0.12),
        poly("light", 0.06, -0.12, 0.06, -0.47, 0.28, -0.47, 0.44, -0.12),
        oval("dark", -0.5, 0.42, 0.26),
        oval("dark", 0.5, 0.42, 0.26),
    ],
    "boat": lambda: [
        poly("fill", -1.0, 0.35, 1.0, 0.35, 0.65, 0.9, -0.65, 0.9),
        bar("dark", -0.05, -1.0, -0.05, 0.4, 0.12),
        poly("light", 0.05, -0.9, 0.05, 0.2, 0.8, 0.2),
        poly("fill", -0.15, -0.7, -0.15, 0.2, -0.7, 0.2),
    ],
    "cup": lambda: [
        arc("fill", 0.55, 0.0, 0.32, -95, 95, 0.17),
        poly("fill", -0.75, -0.6, 0.55, -0.6, 0.42, 0.75, -0.62, 0.75),
        oval("dark", -0.1, -0.6, 0.65, 0.16),
    ],
    "key": lambda: [
        arc("fill", -0.55, 0, 0.3, 0, 360, 0.26),
        bar("fill", -0.2, 0, 1.0, 0, 0.2),
        bar("fill", 0.9, 0, 0.9, 0.42, 0.19),
        bar("fill", 0.55, 0, 0.55, 0.34, 0.19),
    ],
    "hat": lambda: [
        poly("fill", -0.5, -0.8, 0.5, -0.8, 0.55, 0.5, -0.55, 0.5),
        oval("fill", 0, 0.5, 1.0, 0.2),
        poly("dark", -0.55, 0.1, 0.55, 0.1, 0.57, 0.4, -0.57, 0.4),
    ],
    "book": lambda: [
        poly("dark", -0.98, -0.55, 0.98, -0.55, 0.98, 0.72, -0.98, 0.72),
        poly("fill", -0.05, -0.45, -0.5, -0.68, -0.92, -0.55, -0.92, 0.5, -0.5, 0.42, -0.05, 0.62),
        poly("fill", 0.05, -0.45, 0.5, -0.68, 0.92, -0.55, 0.92, 0.5, 0.5, 0.42, 0.05, 0.62),
        bar("light", -0.75, -0.2, -0.22, -0.12, 0.1),
        bar("light", -0.75, 0.12, -0.22, 0.2, 0.1),
        bar("light", 0.75, -0.2, 0.22, -0.12, 0.1),
        bar("light", 0.75, 0.12, 0.22, 0.2, 0.1),
    ],
    "bell": lambda: [
        oval("dark", 0, 0.75, 0.2),
        poly("fill", -0.12, -0.95, 0.12, -0.95, 0.45, -0.6, 0.55, 0.2, 0.9, 0.68, -0.9, 0.68, -0.55, 0.2, -0.45, -0.6),
        bar("dark", -0.8, 0.52, 0.8, 0.52, 0.1),
    ],
    "kite": lambda: [
        poly("fill", 0, -1.0, 0.6, -0.3, 0, 0.5, -0.6, -0.3),
        bar("light", 0, -0.95, 0, 0.45, 0.09),
        bar("light", -0.55, -0.3, 0.55, -0.3, 0.09),
        arc("dark", 0.22, 0.55, 0.25, 180, 300, 0.09),
        poly("dark", 0.0, 0.78, 0.3, 0.62, 0.3, 0.95),
        bar("dark", 0.2, 0.8, 0.45, 1.0, 0.09),
    ],
    "umbrella": _umbrella,
    "ring": lambda: [
        arc("fill", 0, 0.25, 0.55, 0, 360, 0.2),
        poly("light", -0.3, -0.62, 0.3, -0.62, 0.42, -0.75, 0, -0.3, -0.42, -0.75),
        poly("dark", -0.42, -0.72, -0.22, -0.98, 0.22, -0.98, 0.42, -0.72, 0, -0.28),
    ],
    "arrow": lambda: [bar("fill", -1.0, 0, 0.35, 0, 0.36), poly("fill", 0.2, -0.65, 1.0, 0, 0.2, 0.65)],
    "ladder": _ladder,
    "flag": lambda: [
        bar("dark", -0.7, -1.0, -0.7, 1.0, 0.15),
        poly("fill", -0.62, -0.92, 0.1, -0.75, 0.95, -0.9, 0.95, 0.1, 0.1, 0.25, -0.62, 0.08),
    ],
}
"""Every thing, by name."""

THINGS = tuple(SHAPES)


def find_pieces(name: str) -> list[Piece]:
    """The polygons of a thing. Raises: KeyError for a name that is not in `THINGS`."""
    return SHAPES[name]()


def transform(pieces: Iterable[Piece], matrix: np.ndarray, shift: np.ndarray) -> list[Piece]:
    """Every piece's points times `matrix` [2, 2] (acting on columns x, y) plus `shift` [2]."""
    return [Piece(piece.points @ matrix.T + shift, piece.role) for piece in pieces]
