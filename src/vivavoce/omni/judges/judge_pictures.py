"""Pictures for the judge of drawings: a renderer of its own, so that it never sees a drawing that a model learned from.

It shares with `data.drawing` what the things look like (`data.shapes`) and nothing else: another way of filling polygons
(sampled points, not Pillow), other grounds, shading, hatching, stretching, and layouts that the curriculum does not have.
Its seeds are those that `data.styles` keeps for it.
"""

from __future__ import annotations

import colorsys
import itertools
from dataclasses import dataclass

import numpy as np

from vivavoce.data.drawing import COLOURS, load_glyphs
from vivavoce.data.scenes import COLOUR_NAMES, list_written
from vivavoce.data.shapes import THINGS, bar, find_pieces
from vivavoce.data.styles import SEED_RANGES

SIDE_PIXELS = 64
_SAMPLES = 2
MAX_THINGS = 6


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture uint8 [64, 64, 3] with what is in it: (name, colour, x, y) of each thing in pixels, or what is written."""

    pixels: np.ndarray
    things: tuple[tuple[str, str, float, float], ...]
    written: str


def draw_labelled(seed: int) -> Labelled:
    """Picture of one seed. Raises: ValueError for a seed outside the judge's range."""
    low, high = SEED_RANGES["judge"]
    if not low <= seed < high:
        raise ValueError(f"seed is {seed}; the judge's are {low} to {high - 1}")
    generator = np.random.default_rng((seed, 71))
    canvas = _make_ground(generator)
    if generator.random() < 0.22:
        text = list_written()[int(generator.integers(len(list_written())))]
        _write(canvas, text, generator)
        return Labelled(_finish(canvas, generator), (), text)
    spots = _sample_spots(generator)
    shared = (THINGS[int(generator.integers(len(THINGS)))], COLOUR_NAMES[int(generator.integers(len(COLOUR_NAMES)))])
    is_uniform = generator.random() < 0.5
    things = []
    for x, y, half in spots:
        name, colour = shared
        if not is_uniform:
            name = THINGS[int(generator.integers(len(THINGS)))]
            colour = COLOUR_NAMES[int(generator.integers(len(COLOUR_NAMES)))]
        _draw_thing(canvas, name, colour, x, y, half, generator)
        things.append((name, colour, (x + 1) * SIDE_PIXELS / 2, (y + 1) * SIDE_PIXELS / 2))
    return Labelled(_finish(canvas, generator), tuple(things), "")


def _make_ground(generator: np.random.Generator) -> np.ndarray:
    base = 255 - generator.uniform(0, 30, size=3) * (generator.random() < 0.6)
    ramp = np.linspace(0, generator.choice([0.0, 0.0, 0.12]), SIDE_PIXELS)
    ramp = ramp[:, None] if generator.random() < 0.5 else ramp[None, :]
    canvas = (
        np.broadcast_to(base, (SIDE_PIXELS, SIDE_PIXELS, 3))
        * (1 - np.broadcast_to(ramp, (SIDE_PIXELS, SIDE_PIXELS)))[..., None]
    )
    if generator.random() < 0.4:
        period, slope = generator.uniform(5, 14), generator.uniform(-1, 1, size=2)
        rows, columns = np.mgrid[:SIDE_PIXELS, :SIDE_PIXELS]
        canvas = canvas - (10 * (np.sin(2 * np.pi * (rows * slope[0] + columns * slope[1]) / period) > 0))[..., None]
    return canvas.copy()


def _sample_spots(generator: np.random.Generator) -> list[tuple[float, float, float]]:
    """Centres and half sizes of things that do not touch: one to six, anywhere on the canvas."""
    num = int(generator.choice([1, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6]))
    top = {1: 0.8, 2: 0.45, 3: 0.42, 4: 0.4, 5: 0.32, 6: 0.29}[num]
    spots: list[tuple[float, float, float]] = []
    for _ in range(400):
        half = float(generator.uniform(0.22, top)) if num == 1 else float(generator.uniform(0.75, 1.0)) * top
        x, y = generator.uniform(-0.98 + half, 0.98 - half, size=2)
        if all(max(abs(x - other[0]), abs(y - other[1])) > (half + other[2]) * 0.96 for other in spots):
            spots.append((float(x), float(y), half))
        if len(spots) == num:
            break
    return spots


def _shade(colour: str, generator: np.random.Generator) -> np.ndarray:
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in COLOURS[colour]))
    hue = (hue + generator.uniform(-0.015, 0.015)) % 1
    if colour not in ("grey", "black"):
        saturation *= generator.uniform(0.85, 1.05)
    red, green, blue = colorsys.hsv_to_rgb(hue, min(1.0, saturation), min(1.0, value * generator.uniform(0.9, 1.08)))
    return np.array([red, green, blue]) * 255


def _draw_thing(
    canvas: np.ndarray, name: str, colour: str, x: float, y: float, half: float, generator: np.random.Generator
) -> None:
    base = _shade(colour, generator)
    is_dark = base.max() < 60
    darker = np.minimum(255, base + 80) if is_dark else base * generator.uniform(0.4, 0.68)
    roles = {
        "fill": base,
        "dark": darker,
        "light": base + (255 - base) * generator.uniform(0.65, 0.9),
        "hole": canvas[0, 0],
    }
    angle = np.radians(generator.uniform(-13, 13))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = half * turn @ np.diag([generator.uniform(0.9, 1.1), generator.uniform(0.9, 1.1)])
    shading = generator.choice([0.0, 0.0, 0.15])
    rim = generator.choice([0.0, 0.0, 1.08, 1.14])
    pieces = find_pieces(name)
    if rim:
        for piece in pieces:
            if piece.role == "fill":
                middle = piece.points.mean(0)
                grown = (piece.points - middle) * rim + middle
                _fill(canvas, grown @ matrix.T + (x, y), base * 0.4, 0.0)
    for piece in pieces:
        _fill(canvas, piece.points @ matrix.T + (x, y), roles[piece.role], shading)


def _fill(canvas: np.ndarray, points: np.ndarray, colour: np.ndarray, shading: float) -> None:
    """Blend a polygon, points [N, 2] in canvas units, by how many of the samples of each pixel lie inside (even-odd)."""
    scaled = (points + 1) * SIDE_PIXELS / 2
    low = np.clip(np.floor(scaled.min(0)).astype(int), 0, SIDE_PIXELS)
    high = np.clip(np.ceil(scaled.max(0)).astype(int), 0, SIDE_PIXELS)
    width, height = high - low
    if width <= 0 or height <= 0:
        return
    offsets = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    xs = (low[0] + np.arange(width)[:, None] + offsets).ravel()
    ys = (low[1] + np.arange(height)[:, None] + offsets).ravel()
    start, end = scaled, np.roll(scaled, -1, axis=0)
    rise = np.where(end[:, 1] == start[:, 1], 1e-9, end[:, 1] - start[:, 1])
    is_spanned = (start[:, 1] > ys[:, None]) != (end[:, 1] > ys[:, None])
    crossing = start[:, 0] + (ys[:, None] - start[:, 1]) / rise * (end[:, 0] - start[:, 0])
    inside = np.zeros((len(ys), len(xs)), bool)
    for edge in np.flatnonzero(is_spanned.any(0)):
        rows = is_spanned[:, edge]
        inside[rows] ^= xs[None, :] < crossing[rows, edge][:, None]
    cover = inside.reshape(height, _SAMPLES, width, _SAMPLES).mean((1, 3))[..., None]
    region = canvas[low[1] : high[1], low[0] : high[0]]
    shade = 1 - shading * np.linspace(0, 1, height)[:, None, None]
    region += cover * (colour * shade - region)


def _write(canvas: np.ndarray, text: str, generator: np.random.Generator) -> None:
    colour = _shade(COLOUR_NAMES[int(generator.integers(len(COLOUR_NAMES)))], generator)
    reach = {1: 1.0, 2: 1.6}.get(len(text), 1.85) * generator.uniform(0.85, 1.0)
    if generator.random() < 0.6:
        _write_in_font(canvas, text, colour, reach, generator)
        return
    pitch = min(reach / (3 * len(text) - 1), 1.25 / 4)
    start_x = -pitch * (3 * len(text) - 1) / 2 + generator.uniform(-0.06, 0.06)
    start_y = -2 * pitch + generator.uniform(-0.08, 0.08)
    slant, width = generator.uniform(-0.12, 0.12), pitch * generator.uniform(0.4, 0.8)
    for order, char in enumerate(text):
        for stroke in load_glyphs()[char]:
            for (x0, y0), (x1, y1) in itertools.pairwise(stroke):
                ends = [
                    (start_x + pitch * (3 * order + px + slant * (2 - py)), start_y + pitch * py)
                    for px, py in ((x0, y0), (x1, y1))
                ]
                _fill(canvas, bar("fill", *ends[0], *ends[1], width).points, colour, 0.0)


def _write_in_font(
    canvas: np.ndarray, text: str, colour: np.ndarray, reach: float, generator: np.random.Generator
) -> None:
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    shown = text.upper() if generator.random() < 0.6 else text
    font = ImageFont.load_default(96)
    left, top, right, bottom = font.getbbox(shown)
    mask = Pillow.new("L", (int(right - left) + 8, int(bottom - top) + 8), 0)
    weight = int(generator.integers(0, 3))
    ImageDraw.Draw(mask).text((4 - left, 4 - top), shown, fill=255, font=font, stroke_width=weight)
    scale = min(reach * SIDE_PIXELS / 2 / mask.width, 0.64 * SIDE_PIXELS / mask.height)
    size = (max(1, round(mask.width * scale)), max(1, round(mask.height * scale * generator.uniform(0.9, 1.1))))
    small = np.asarray(mask.resize(size, Pillow.Resampling.BILINEAR), float) / 255
    left_px = int(np.clip((SIDE_PIXELS - size[0]) / 2 + generator.uniform(-3, 3), 0, SIDE_PIXELS - size[0]))
    top_px = int(np.clip((SIDE_PIXELS - size[1]) / 2 + generator.uniform(-3, 3), 0, SIDE_PIXELS - size[1]))
    region = canvas[top_px : top_px + size[1], left_px : left_px + size[0]]
    region += small[..., None] * (colour - region)


def _finish(canvas: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    noisy = canvas + generator.normal(0, generator.choice([0.0, 2.0, 5.0]), size=canvas.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)
