"""Draws scenes and films of the small world at 64 x 64, in many styles, by seed.

What is seen comes from a `Scene`; how it is drawn from a `Style`, sampled from the seed. Families of style: `plain`
(training and test), `clean` (what the model learns to draw) and `held_out` (test only: wobbling crayon edges, chequered
or ruled grounds). The drawn-picture judge
has a renderer of its own (`omni.judges.drawing`) and shares only the shapes.
"""

from __future__ import annotations

import colorsys
import itertools
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from typing import Literal, NamedTuple, cast

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from vivavoce.content import Image, Video
from vivavoce.data.scene import Group, Scene
from vivavoce.data.shapes import Piece, find_pieces, transform

SIDE_PIXELS = 64
_SCALE = 3
"""Drawn at three times the size and averaged down. chosen: smooth edges at about 1.5 ms a picture."""
_SIDE = SIDE_PIXELS * _SCALE

StyleFamily = Literal["plain", "clean", "held_out"]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 32, 38),
    "orange": (250, 140, 20),
    "yellow": (250, 222, 40),
    "green": (42, 165, 60),
    "blue": (38, 84, 220),
    "purple": (132, 44, 170),
    "pink": (250, 130, 180),
    "brown": (122, 72, 32),
    "grey": (135, 135, 138),
    "black": (24, 24, 28),
}
"""Every colour, by name, at its centre; a style shifts it a little."""

_GROUNDS = ((255, 255, 255), (244, 240, 228), (232, 242, 250), (236, 248, 232), (250, 236, 240), (238, 234, 248))


class Spot(NamedTuple):
    """Where one thing goes: centre and half size, in [-1, 1] of the canvas."""

    x: float
    y: float
    half: float


@dataclass(frozen=True, slots=True)
class Style:
    """How a scene is drawn. Sampled by `sample_style`; every field is a plain number, so a style can be kept.

    outline: width in pixels of 64, 0 for none. gradient: how much the ground darkens across. noise: standard deviation in
    grey levels. wobble: how far edge points stray, in half sizes. pattern: of the ground. seed: of jitter and noise.
    """

    seed: int
    ground: tuple[int, int, int] = (255, 255, 255)
    outline: float = 0.0
    gradient: float = 0.0
    noise: float = 0.0
    shade: float = 0.55
    turn: float = 8.0
    wobble: float = 0.0
    pattern: Literal["none", "stripes", "dots", "chequers", "ruled"] = "none"
    is_font: bool = True
    is_capital: bool = True
    is_exact: bool = False
    """Nothing is left to chance: sizes, places and shades are the middle of what they may be."""


OWN_STYLE = Style(0, turn=0.0, is_exact=True)
"""What the model learns to draw: one picture for one request. With a place and a shade by chance, the codes along every edge
could not be foreseen, and the likeliest of them drew nothing (experiments/LOG.md)."""


class _Middle:
    """Stands in for a generator: always the middle of the range, and of two ways the first."""

    def uniform(self, low: float, high: float, size: int | None = None) -> float | np.ndarray:
        middle = (low + high) / 2
        return middle if size is None else np.full(size, middle)

    def random(self) -> float:
        return 0.5


def sample_style(seed: int, family: StyleFamily = "plain") -> Style:
    """A style of a family; the same seed gives the same style."""
    generator = np.random.default_rng((seed, 11))
    style = Style(
        seed,
        ground=_GROUNDS[generator.integers(len(_GROUNDS))],
        outline=float(generator.choice([0.0, 0.0, 0.7, 1.2])),
        gradient=float(generator.choice([0.0, 0.0, 0.06, 0.12])),
        noise=float(generator.choice([0.0, 0.0, 2.0, 4.0])),
        shade=float(generator.uniform(0.45, 0.65)),
        turn=float(generator.uniform(0, 12)),
        pattern=str(generator.choice(["none", "none", "none", "stripes", "dots"])),  # type: ignore[arg-type]
        is_font=bool(generator.random() < 0.6),
        is_capital=bool(generator.random() < 0.6),
    )
    if family == "plain":
        return style
    if family == "clean":
        return Style(seed, shade=0.55, turn=4.0, is_font=True, is_capital=True)
    pattern = str(generator.choice(["chequers", "ruled"]))
    return replace(style, wobble=float(generator.uniform(0.03, 0.06)), pattern=pattern, outline=1.0)  # type: ignore[arg-type]


def draw_scene(scene: Scene, style: Style | int) -> Image:
    """The scene as a 64 x 64 picture; an int is the seed of a plain style."""
    style = sample_style(style) if isinstance(style, int) else style
    generator = np.random.default_rng((style.seed, 12))
    if style.is_exact:
        generator = cast(np.random.Generator, _Middle())
    canvas = Pillow.new("RGB", (_SIDE, _SIDE), style.ground)
    pen = ImageDraw.Draw(canvas)
    _draw_pattern(pen, style)
    for group, spots in zip(scene.groups, lay_out(scene, generator)):
        for spot in spots:
            _draw_thing(pen, group.name, group.colour, spot, style, generator)
    if scene.written:
        _write(canvas, scene.written, jitter_colour(scene.written_colour, generator), style, generator)
    return Image(_finish(canvas, style, generator))


def draw_film(scenes: list[tuple[tuple[str, str, Spot], ...]], style: Style | int, fps: float = 2.0) -> Video:
    """A film without sound: in each frame, (name, colour, spot) of every thing. Style and colours hold throughout."""
    style = sample_style(style) if isinstance(style, int) else style
    frames = []
    for things in scenes:
        # one generator state for all frames: nothing flickers but what the film is about
        canvas = Pillow.new("RGB", (_SIDE, _SIDE), style.ground)
        pen = ImageDraw.Draw(canvas)
        _draw_pattern(pen, style)
        for order, (name, colour, spot) in enumerate(things):
            _draw_thing(pen, name, colour, spot, style, np.random.default_rng((style.seed, 13, order)))
        frames.append(_finish(canvas, style, np.random.default_rng((style.seed, 14))))
    return Video(np.stack(frames), fps)


def jitter_colour(name: str, generator: np.random.Generator) -> tuple[int, int, int]:
    """A shade of the colour that everyone would still call by its name."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in COLOURS[name]))
    hue += float(generator.uniform(-0.012, 0.012))
    if name not in ("grey", "black"):
        saturation *= float(generator.uniform(0.88, 1.0))
    value = min(1.0, value * float(generator.uniform(0.92, 1.06)))
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


_PLACE_CENTRES = {
    "left": (-0.52, 0.0),
    "right": (0.52, 0.0),
    "top": (0.0, -0.52),
    "bottom": (0.0, 0.52),
    "centre": (0.0, 0.0),
}
_ARRANGEMENTS = {
    1: [(0.0, 0.0)],
    2: [(-0.5, 0.0), (0.5, 0.0)],
    3: [(-0.52, 0.42), (0.52, 0.42), (0.0, -0.48)],
    4: [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)],
    5: [(-0.6, -0.6), (0.6, -0.6), (0.0, 0.0), (-0.6, 0.6), (0.6, 0.6)],
}
_HALVES = {1: 0.66, 2: 0.4, 3: 0.38, 4: 0.38, 5: 0.3}


def lay_out(scene: Scene, generator: np.random.Generator) -> list[list[Spot]]:
    """A spot for every thing of every group: no two overlap, and places are clearly what they are called."""
    return [_lay_out_group(group, len(scene.groups) > 1, generator) for group in scene.groups]


def _lay_out_group(group: Group, has_company: bool, generator: np.random.Generator) -> list[Spot]:
    centre_x, centre_y = _PLACE_CENTRES[group.place]
    jitter = generator.uniform(-0.06, 0.06, size=2)
    if group.count == 1:
        is_aside = group.place != "centre" or has_company
        half = (0.4 if is_aside else 0.66) if group.size == "big" else 0.24
        half *= float(generator.uniform(0.9, 1.05))
        return [Spot(centre_x + jitter[0], centre_y + jitter[1], half)]
    if not has_company and group.place == "centre":
        half = _HALVES[group.count] * (1.0 if group.size == "big" else 0.75)
        turned = group.count in (2, 3) and generator.random() < 0.5
        spots = []
        for x, y in _ARRANGEMENTS[group.count]:
            x, y = (y, x) if turned else (x, y)
            dx, dy = generator.uniform(-0.05, 0.05, size=2)
            spots.append(
                Spot(x + dx + jitter[0] / 2, y + dy + jitter[1] / 2, half * float(generator.uniform(0.92, 1.05)))
            )
        return spots
    # a row or column on one side of the canvas: at most three
    is_column = group.place in ("left", "right")
    offsets = {2: (-0.42, 0.42), 3: (-0.6, 0.0, 0.6)}[group.count]
    half = 0.34 if group.count == 2 else 0.27
    return [
        Spot(
            centre_x + (0 if is_column else off) + jitter[0] / 2,
            centre_y + (off if is_column else 0) + jitter[1] / 2,
            half,
        )
        for off in offsets
    ]


def place_pieces(name: str, spot: Spot, turn_degrees: float, stretch: float) -> list[Piece]:
    """The pieces of a thing at its spot, in canvas units of [-1, 1]."""
    cos, sin = math.cos(math.radians(turn_degrees)), math.sin(math.radians(turn_degrees))
    matrix = spot.half * np.array([[cos, -sin], [sin, cos]]) @ np.diag([stretch, 1 / stretch])
    return transform(find_pieces(name), matrix, np.array([spot.x, spot.y]))


def shade_colours(
    base: tuple[int, int, int], shade: float, ground: tuple[int, int, int]
) -> dict[str, tuple[int, int, int]]:
    """The colours of the roles of a piece: dark shades of black and grey are lifted, so that details stay visible."""
    is_dark = max(base) < 60
    dark = tuple(min(255, part + 75) if is_dark else round(part * shade) for part in base)
    light = tuple(round(part + (255 - part) * 0.78) for part in base)
    return {"fill": base, "dark": dark, "light": light, "hole": ground}  # type: ignore[dict-item]


def _draw_thing(
    pen: ImageDraw.ImageDraw, name: str, colour: str, spot: Spot, style: Style, generator: np.random.Generator
) -> None:
    base = jitter_colour(colour, generator)
    colours = shade_colours(base, style.shade, style.ground)
    turn = float(generator.uniform(-style.turn, style.turn))
    stretch = float(generator.uniform(0.94, 1.06))
    half_canvas = _SIDE / 2
    placed = place_pieces(name, spot, turn, stretch)
    if style.wobble:
        placed = [_wobble(piece, style.wobble * spot.half, generator) for piece in placed]
    edge = tuple(round(part * 0.4) for part in base)
    for piece in placed:
        points = [tuple(point) for point in (piece.points + 1) * half_canvas]
        if style.outline and piece.role == "fill":
            pen.line([*points, points[0], points[1]], fill=edge, width=round(2 * style.outline * _SCALE), joint="curve")
    for piece in placed:
        pen.polygon([tuple(point) for point in (piece.points + 1) * half_canvas], fill=colours[piece.role])


def _wobble(piece: Piece, reach: float, generator: np.random.Generator) -> Piece:
    closed = np.concatenate([piece.points, piece.points[:1]])
    num = max(2, 48 // len(piece.points))
    steps = np.linspace(0, 1, num, endpoint=False)[:, None]
    fine = np.concatenate([a + steps * (b - a) for a, b in itertools.pairwise(closed)])
    return Piece(fine + generator.normal(0, reach / 2, size=fine.shape), piece.role)


def _draw_pattern(pen: ImageDraw.ImageDraw, style: Style) -> None:
    if style.pattern == "none":
        return
    tint = tuple(max(0, part - 12) for part in style.ground)
    side, step = _SIDE, 8 * _SCALE
    if style.pattern == "stripes":
        for x in range(-side, side, 2 * step):
            pen.polygon([(x, 0), (x + step, 0), (x + step + side, side), (x + side, side)], fill=tint)
    elif style.pattern == "dots":
        for x in range(step // 2, side, step):
            for y in range(step // 2, side, step):
                pen.ellipse((x - _SCALE, y - _SCALE, x + _SCALE, y + _SCALE), fill=tint)
    elif style.pattern == "chequers":
        for x in range(0, side, step):
            for y in range((x // step % 2) * step, side, 2 * step):
                pen.rectangle((x, y, x + step, y + step), fill=tint)
    else:
        for y in range(step // 2, side, step):
            pen.line((0, y, side, y), fill=tint, width=_SCALE)


def _finish(canvas: Pillow.Image, style: Style, generator: np.random.Generator) -> np.ndarray:
    pixels = np.asarray(canvas.reduce(_SCALE), np.float32)
    if style.gradient:
        ramp = np.linspace(0, 1, SIDE_PIXELS, dtype=np.float32)
        slope = ramp[:, None] if style.seed % 2 else ramp[None, :]
        pixels = pixels * (1 - style.gradient * slope)[..., None]
    if style.noise:
        pixels = pixels + generator.normal(0, style.noise, size=pixels.shape).astype(np.float32)
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)


@lru_cache
def load_glyphs() -> dict[str, list[list[tuple[float, float]]]]:
    """Our stroke letters: strokes of (x, y) on [0, 2] x [0, 4], by character."""
    text = resources.files("vivavoce.data").joinpath("glyphs.txt").read_text()
    glyphs = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            char, strokes = line[0], line[1:].split(";")
            glyphs[char] = [[(float(pair[0]), float(pair[1])) for pair in stroke.split()] for stroke in strokes]
    return glyphs


@lru_cache
def _load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _write(
    canvas: Pillow.Image, text: str, colour: tuple[int, int, int], style: Style, generator: np.random.Generator
) -> None:
    side = _SIDE
    reach = {1: 0.5, 2: 0.8}.get(len(text), 0.92) * side * float(generator.uniform(0.92, 1.0))
    shift = generator.uniform(-0.03, 0.03, size=2) * side
    pen = ImageDraw.Draw(canvas)
    if style.is_font:
        shown = text.upper() if style.is_capital else text
        font = _load_font(64)
        left, top, right, bottom = font.getbbox(shown)
        size = min(64 * reach / (right - left), 64 * 0.62 * side / (bottom - top))
        font = _load_font(int(size))
        left, top, right, bottom = font.getbbox(shown)
        origin = (side / 2 - (left + right) / 2 + shift[0], side / 2 - (top + bottom) / 2 + shift[1])
        pen.text(
            origin, shown, fill=colour, font=font, stroke_width=round(style.outline * _SCALE / 2), stroke_fill=colour
        )
        return
    glyphs = load_glyphs()
    pitch = min(reach / (len(text) * 2 + len(text) - 1), 0.62 * side / 4)
    slant = float(generator.uniform(-0.1, 0.1))
    start_x = side / 2 - pitch * (len(text) * 3 - 1) / 2 + shift[0]
    for order, char in enumerate(text):
        for stroke in glyphs[char]:
            points = [
                (start_x + pitch * (3 * order + x + slant * (2 - y)), side / 2 + pitch * (y - 2) + shift[1])
                for x, y in stroke
            ]
            pen.line(points, fill=colour, width=max(_SCALE, round(pitch * 0.62)), joint="curve")
