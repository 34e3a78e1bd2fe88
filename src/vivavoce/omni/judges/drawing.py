"""The judge of drawings: which things of which colour it sees where, or what is written, and whether that is right.

A small network that finds things as peaks of a map and names each. It learned from pictures of a renderer of its own
(`judge_pictures`), never from the drawings that models are trained on. Deterministic; its own accuracy on true
drawings of the test split is in its model card.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from vivavoce.content import Image
from vivavoce.data.scene import Group, Scene
from vivavoce.data.scenes import COLOUR_NAMES, list_written
from vivavoce.data.shapes import THINGS
from vivavoce.errors import CheckpointError
from vivavoce.files import write_json, write_whole

SIDE_PIXELS = 64
SIDE_CELLS = 16
CELL_PIXELS = SIDE_PIXELS // SIDE_CELLS
WEIGHTS_NAME = "drawing_judge.safetensors"
CONFIG_NAME = "drawing_judge.json"
SHIPPED = Path(__file__).parents[4] / "checkpoints" / "drawing_judge"
PEAK_PROBABILITY = 0.3
"""A cell is a thing from here on. chosen: counts on the judge's own pictures are best there; see its card."""


class SeenThing(NamedTuple):
    """A thing in a picture: centre in [-1, 1], x to the right, y down, and the probability of the peak."""

    name: str
    colour: str
    x: float
    y: float
    probability: float


class Seen(NamedTuple):
    """What is in a picture."""

    things: tuple[SeenThing, ...]
    written: str


@dataclass(frozen=True, slots=True)
class Judged:
    """How a drawing compares with what was wanted. `is_right` asks for thing, colour, count and place together.

    is_thing: every wanted thing is there and no other. is_colour: each has its colour. is_count: and its number. is_place:
    and its side, where a side was wanted. For writing, is_thing says that the right text is there.
    """

    is_thing: bool
    is_colour: bool
    is_count: bool
    is_place: bool
    seen: Seen

    @property
    def is_thing_and_colour(self) -> bool:
        """The bar of the any-to-any matrix."""
        return self.is_thing and self.is_colour

    @property
    def is_right(self) -> bool:
        """Everything."""
        return self.is_thing and self.is_colour and self.is_count and self.is_place


class JudgeNetwork(nn.Module):
    """Maps at 16 x 16: presence, name and colour of a thing; and one guess at what is written."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.width = width
        self.stem = nn.Sequential(_conv(3, width // 2, 2), _conv(width // 2, width, 2), _conv(width, width))
        self.down = nn.Sequential(_conv(width, 2 * width, 2), _conv(2 * width, 2 * width), _conv(2 * width, 2 * width))
        self.up = nn.Sequential(_conv(2 * width, 4 * width), nn.PixelShuffle(2))
        self.fine = _conv(2 * width, width)
        self.maps = nn.Conv2d(width, 1 + len(THINGS) + len(COLOUR_NAMES), 1)
        self.writing = nn.Linear(2 * width * 8, 1 + len(list_written()))
        # at first nothing is anywhere: keeps the rare peaks from being drowned
        nn.init.constant_(self.maps.bias[:1], -4.0)  # type: ignore[index]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pixels uint8 [B, 64, 64, 3] to logits: presence [B, 16, 16], names [B, 28, 16, 16], colours, writing [B, N]."""
        fine = self.stem(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1)
        coarse = self.down(fine)
        maps = self.maps(self.fine(torch.cat([fine, self.up(coarse)], 1)))
        # letters stand in a row: the columns are kept apart, the rows are not
        columns = coarse.mean(2).flatten(1)
        presence, names, colours = maps.split([1, len(THINGS), len(COLOUR_NAMES)], 1)
        return presence[:, 0], names, colours, self.writing(columns)


def _conv(given: int, made: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, made, 3, stride, 1, bias=False), nn.GroupNorm(4, made), nn.ReLU())


class DrawingJudge:
    """Sees what is in pictures and compares it with a scene."""

    def __init__(self, network: JudgeNetwork) -> None:
        self.network = network.eval()

    @classmethod
    def load(cls, folder: Path | str = SHIPPED) -> DrawingJudge:
        """The judge kept in `folder`; by default the one that ships.

        Raises: CheckpointError if it is missing, or made for other things, colours or words than this program draws.
        """
        folder = Path(folder)
        try:
            about = json.loads((folder / CONFIG_NAME).read_text())
            tensors = load_file(folder / WEIGHTS_NAME)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"no judge of drawings in {folder} ({error}); train one with `viva train judge`"
            ) from error
        if about["labels"] != _labels():
            raise CheckpointError(f"the judge in {folder} knows other things or words; train it again")
        network = JudgeNetwork(about["width"])
        try:
            network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        except RuntimeError as error:
            raise CheckpointError(f"{folder / WEIGHTS_NAME} does not fit: {error}") from error
        return cls(network)

    def save(self, folder: Path | str) -> None:
        """Write weights (float16) and labels into `folder`."""
        folder = Path(folder)
        state = {name: tensor.detach().half().contiguous() for name, tensor in self.network.state_dict().items()}
        with write_whole(folder / WEIGHTS_NAME) as temporary:
            save_file(state, temporary)
        write_json(folder / CONFIG_NAME, {"width": self.network.width, "labels": _labels()})

    @torch.no_grad()
    def see(self, images: Sequence[Image]) -> list[Seen]:
        """What is in each picture; pictures of another size are scaled to 64 x 64 first."""
        if not images:
            return []
        pixels = torch.from_numpy(np.stack([_fit(image) for image in images]))
        presence, names, colours, writing = self.network(pixels)
        presence = presence.sigmoid()
        is_peak = (presence == F.max_pool2d(presence[:, None], 3, 1, 1)[:, 0]) & (presence > PEAK_PROBABILITY)
        seen = []
        for idx in range(len(images)):
            things = []
            for row, column in is_peak[idx].nonzero().tolist():
                name = THINGS[int(names[idx, :, row, column].argmax())]
                colour = COLOUR_NAMES[int(colours[idx, :, row, column].argmax())]
                x, y = ((place + 0.5) * 2 / SIDE_CELLS - 1 for place in (column, row))
                things.append(SeenThing(name, colour, x, y, float(presence[idx, row, column])))
            guess = int(writing[idx].argmax())
            seen.append(Seen(tuple(things), list_written()[guess - 1] if guess else ""))
        return seen

    def judge(self, image: Image, wanted: Scene) -> Judged:
        """Compare a drawing with the scene that was asked for."""
        return compare(self.see([image])[0], wanted)


def _labels() -> dict[str, list[str]]:
    return {"things": list(THINGS), "colours": list(COLOUR_NAMES), "written": list(list_written())}


def _fit(image: Image) -> np.ndarray:
    if image.pixels.shape[:2] == (SIDE_PIXELS, SIDE_PIXELS):
        return image.pixels
    from PIL import Image as Pillow

    return np.asarray(Pillow.fromarray(image.pixels).resize((SIDE_PIXELS, SIDE_PIXELS), Pillow.Resampling.BOX))


def compare(seen: Seen, wanted: Scene) -> Judged:
    """What was seen against what was wanted. An empty scene wants nothing at all."""
    if wanted.written:
        is_there = seen.written == wanted.written and not seen.things
        return Judged(is_there, is_there, is_there, is_there, seen)
    names = {thing.name for thing in seen.things}
    is_thing = names == {group.name for group in wanted.groups} and not seen.written
    found = [[thing for thing in seen.things if thing.name == group.name] for group in wanted.groups]
    # counted by thing and colour, so that two groups of one thing are told apart
    num_seen = Counter((thing.name, thing.colour) for thing in seen.things)
    num_wanted: Counter[tuple[str, str]] = Counter()
    for group in wanted.groups:
        num_wanted[group.name, group.colour] += group.count
    is_colour = is_thing and set(num_seen) == set(num_wanted)
    is_count = is_thing and len(seen.things) == sum(group.count for group in wanted.groups)
    is_count = is_count and (not is_colour or num_seen == num_wanted)
    is_place = is_thing and _is_placed(found, wanted.groups)
    return Judged(is_thing, is_colour, is_count, is_place, seen)


def _is_placed(found: list[list[SeenThing]], groups: tuple[Group, ...]) -> bool:
    centres = [np.mean([(thing.x, thing.y) for thing in things], axis=0) for things in found]
    axis, sign = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1)}, 0.15
    if len(groups) == 1:
        group = groups[0]
        if group.place == "centre":
            return group.count > 1 or bool(np.abs(centres[0]).max() < 0.4)
        which, way = axis[group.place]
        return bool(way * centres[0][which] > sign)
    which, way = axis.get(groups[0].place, (0, -1))
    return bool(way * (centres[0][which] - centres[1][which]) > sign)
