"""Small scientific figures drawn from a line of text: bars, a line, points, a divided disc. 64 x 64 pixels, no lettering.

`bars:3,7,5`, `line:1,2,4,7`, `points:4`, `parts:3`.
"""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from vivavoce.content import Image
from vivavoce.errors import ConfigError

SIDE_PIXELS = 64
INK, BLUE = (20, 20, 20), (40, 90, 200)


def draw_figure(name: str) -> Image:
    """The figure of that description.

    Raises: ConfigError if it can't be read.
    """
    kind, _, values = name.partition(":")
    try:
        numbers = [float(value) for value in values.split(",")]
    except ValueError as error:
        raise ConfigError(f"figure {name!r} has values that are no numbers; see card/figures.py") from error
    drawers = {"bars": _bars, "line": _line, "points": _points, "parts": _parts}
    if kind not in drawers:
        raise ConfigError(f"figure {name!r} is unknown; allowed: {', '.join(drawers)}")
    canvas = Pillow.new("RGB", (SIDE_PIXELS, SIDE_PIXELS), "white")
    drawers[kind](ImageDraw.Draw(canvas), numbers)
    return Image(np.asarray(canvas).copy())


def _axes(draw: ImageDraw.ImageDraw) -> None:
    draw.line([(6, 4), (6, 58), (60, 58)], fill=INK)


def _bars(draw: ImageDraw.ImageDraw, numbers: list[float]) -> None:
    _axes(draw)
    width = 50 / len(numbers)
    for idx, number in enumerate(numbers):
        left = 8 + idx * width
        draw.rectangle([left + 2, 58 - 5 * number, left + width - 2, 57], fill=BLUE)


def _line(draw: ImageDraw.ImageDraw, numbers: list[float]) -> None:
    _axes(draw)
    step = 48 / (len(numbers) - 1)
    draw.line([(8 + idx * step, 56 - 6 * number) for idx, number in enumerate(numbers)], fill=BLUE, width=2)


def _points(draw: ImageDraw.ImageDraw, numbers: list[float]) -> None:
    for idx in range(int(numbers[0])):
        left, top = 8 + 18 * (idx % 3), 8 + 18 * (idx // 3)
        draw.ellipse([left, top, left + 10, top + 10], fill=BLUE)


def _parts(draw: ImageDraw.ImageDraw, numbers: list[float]) -> None:
    draw.ellipse([6, 6, 58, 58], outline=INK, fill=(220, 230, 250))
    for idx in range(int(numbers[0])):
        angle = 2 * np.pi * idx / numbers[0] - np.pi / 2
        draw.line([(32, 32), (32 + 26 * np.cos(angle), 32 + 26 * np.sin(angle))], fill=INK, width=2)
