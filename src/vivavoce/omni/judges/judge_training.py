"""Trains the judge of drawings on its own pictures, and measures it on true drawings of the test split."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vivavoce.content import Image
from vivavoce.data.drawing import draw_scene, sample_style
from vivavoce.data.scene import Scene
from vivavoce.data.scenes import COLOUR_NAMES, SCENE_KINDS, SceneKind, list_written, sample_scene
from vivavoce.data.shapes import THINGS
from vivavoce.data.styles import SEED_RANGES
from vivavoce.errors import ConfigError
from vivavoce.omni.judges.drawing import CELL_PIXELS, SIDE_CELLS, DrawingJudge, Judged, JudgeNetwork
from vivavoce.omni.judges.judge_pictures import Labelled, draw_labelled
from vivavoce.omni.training.loop import Loop, LoopConfig, step_generator, update
from vivavoce.run import Run
from vivavoce.stats import Estimate, estimate_proportion


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeTrainingConfig:
    """One training run of the judge of drawings."""

    width: int = 48
    """Channels of the finer maps."""
    batch_pictures: int = 40
    """Pictures to a step."""
    pool_pictures: int = 8_000
    """Distinct pictures in all; each is shifted, blurred and tinted anew whenever it is shown."""
    peak_rate: float = 3e-3
    """Peak learning rate of AdamW."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=1100, sample_every_steps=0, decay_share=0.7))
    """Steps, rates and intervals."""


def make_judge_config(preset: str) -> JudgeTrainingConfig:
    """nano (what ships) or tiny (for tests). Raises: ConfigError for another name."""
    if preset == "nano":
        return JudgeTrainingConfig()
    if preset == "tiny":
        loop = LoopConfig(steps=2, warmup_steps=1, save_every_steps=1, log_every_steps=1, sample_every_steps=0)
        return JudgeTrainingConfig(width=8, batch_pictures=4, pool_pictures=8, loop=loop)
    raise ConfigError(f"preset is {preset!r}; choose nano or tiny")


def spoil(pixels: Tensor, generator: torch.Generator) -> tuple[Tensor, tuple[int, int]]:
    """Pixels uint8 [B, 64, 64, 3] shifted, blurred and noised as drawings through a tokenizer are; and the shift (y, x)."""
    shift = torch.randint(-3, 4, (2,), generator=generator).tolist()
    signal = pixels.permute(0, 3, 1, 2).float()
    padded = F.pad(signal, (3, 3, 3, 3), mode="replicate")
    signal = padded[:, :, 3 - shift[0] : 67 - shift[0], 3 - shift[1] : 67 - shift[1]]
    is_blurred = torch.rand(len(pixels), 1, 1, 1, generator=generator) < 0.4
    strength = torch.rand(len(pixels), 1, 1, 1, generator=generator)
    soft = F.avg_pool2d(F.pad(signal, (1, 1, 1, 1), mode="replicate"), 3, 1)
    signal = torch.where(is_blurred, signal + strength * (soft - signal), signal)
    # blotches: low-frequency errors such as a wrong code leaves
    blotch = (
        torch.randn(len(pixels), 3, 8, 8, generator=generator)
        * 6
        * torch.rand(len(pixels), 1, 1, 1, generator=generator)
    )
    signal = signal + F.interpolate(blotch, scale_factor=8, mode="bilinear")
    return signal.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1), (shift[0], shift[1])


def make_targets(pictures: list[Labelled], shift: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Presence [B, 16, 16] (1 at centres, 0.3 beside, else 0), names and colours [B, 16, 16] (-1: none), writing [B]."""
    num = len(pictures)
    presence = torch.zeros(num, SIDE_CELLS, SIDE_CELLS)
    names = torch.full((num, SIDE_CELLS, SIDE_CELLS), -1)
    colours = torch.full((num, SIDE_CELLS, SIDE_CELLS), -1)
    writing = torch.zeros(num, dtype=torch.long)
    for idx, picture in enumerate(pictures):
        writing[idx] = list_written().index(picture.written) + 1 if picture.written else 0
        for name, colour, x, y in picture.things:
            row = min(SIDE_CELLS - 1, max(0, int((y + shift[0]) // CELL_PIXELS)))
            column = min(SIDE_CELLS - 1, max(0, int((x + shift[1]) // CELL_PIXELS)))
            rows, columns = slice(max(0, row - 1), row + 2), slice(max(0, column - 1), column + 2)
            names[idx, rows, columns], colours[idx, rows, columns] = THINGS.index(name), COLOUR_NAMES.index(colour)
            presence[idx, rows, columns] = torch.maximum(presence[idx, rows, columns], torch.tensor(0.3))
            presence[idx, row, column] = 1.0
    return presence, names, colours, writing


def judge_loss(
    network: JudgeNetwork, pixels: Tensor, targets: tuple[Tensor, Tensor, Tensor, Tensor]
) -> dict[str, Tensor]:
    """Sum of the losses of presence (weighted binary cross-entropy), names, colours and writing (cross-entropy)."""
    presence, names, colours, writing = network(pixels)
    wanted, wanted_names, wanted_colours, wanted_writing = targets
    where = F.binary_cross_entropy_with_logits(presence, wanted, reduction="none")
    where = (where * (1 + 8 * wanted)).mean() * 10
    what = F.cross_entropy(names, wanted_names, ignore_index=-1)
    colour = F.cross_entropy(colours, wanted_colours, ignore_index=-1)
    text = F.cross_entropy(writing, wanted_writing)
    terms = {"presence": where, "name": what, "colour": colour, "writing": text}
    return {"loss": where + what + colour + text, **{name: term.detach() for name, term in terms.items()}}


def train_judge(config: JudgeTrainingConfig, path: Path, *, resume: bool = False) -> Path:
    """Train (or go on) in the run directory `path`; returns the folder that holds the finished judge."""
    run = Run.open(path, config, resume=resume)
    torch.manual_seed(config.loop.seed)
    network = JudgeNetwork(config.width).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.peak_rate, weight_decay=0.02)
    loop = Loop(run, config.loop, {"judge": network}, {"adamw": optimizer})
    pool: dict[int, Labelled] = {}
    first_seed = SEED_RANGES["judge"][0]

    def take_step(step: int) -> dict[str, Tensor]:
        generator = step_generator(config.loop.seed, step)
        chosen = torch.randint(config.pool_pictures, (config.batch_pictures,), generator=generator).tolist()
        for idx in chosen:
            if idx not in pool:
                pool[idx] = draw_labelled(first_seed + idx)
        pictures = [pool[idx] for idx in chosen]
        pixels, shift = spoil(torch.from_numpy(np.stack([picture.pixels for picture in pictures])), generator)
        with torch.autocast("cpu", torch.bfloat16):
            terms = judge_loss(network, pixels, make_targets(pictures, shift))
        terms["grad_norm"] = update(optimizer, terms["loss"])
        return {f"judge/{name}": value.detach() for name, value in terms.items()}

    loop.train(take_step)
    DrawingJudge(network).save(run.path)
    run.finish(steps=loop.step, num_parameters=sum(parameter.numel() for parameter in network.parameters()))
    return run.path


def measure_judge(judge: DrawingJudge, num_pictures: int, seed: int) -> dict[str, Estimate]:
    """Share of true drawings of the test split that the judge calls right, by what it looks at: its own reliability.

    The drawings are the curriculum's, in the style that the model learns to draw; the judge has never seen their like.
    """
    generator = np.random.default_rng((seed, 72))
    pairs = [draw_true(SCENE_KINDS[idx % len(SCENE_KINDS)], generator) for idx in range(num_pictures)]
    return tally_judged([judge.judge(image, scene) for scene, image in pairs], [scene for scene, _ in pairs])


def measure_false_passes(judge: DrawingJudge, num_pictures: int, seed: int) -> Estimate:
    """Share of drawings of *another* scene of the same kind that the judge calls right in thing and colour."""
    generator = np.random.default_rng((seed, 73))
    passed = 0
    for idx in range(num_pictures):
        kind = SCENE_KINDS[idx % len(SCENE_KINDS)]
        wanted = sample_scene(kind, "test", generator)
        drawn, image = draw_true(kind, generator)
        while _is_alike(wanted, drawn):
            drawn, image = draw_true(kind, generator)
        passed += judge.judge(image, wanted).is_thing_and_colour
    return estimate_proportion(passed, num_pictures)


def _is_alike(scene: Scene, other: Scene) -> bool:
    pairs = [{(group.name, group.colour) for group in each.groups} for each in (scene, other)]
    return pairs[0] == pairs[1] and scene.written == other.written


def draw_true(kind: SceneKind, generator: np.random.Generator) -> tuple[Scene, Image]:
    """A scene of the test split and its true drawing, in the style that the model learns to draw."""
    scene = sample_scene(kind, "test", generator)
    return scene, draw_scene(scene, sample_style(int(generator.integers(*SEED_RANGES["test"])), "clean"))


def tally_judged(judged: list[Judged], scenes: list[Scene]) -> dict[str, Estimate]:
    """Proportions with intervals: of drawn things by what was judged, of writing apart."""
    things = [verdict for verdict, scene in zip(judged, scenes) if not scene.written]
    writing = [verdict.is_thing for verdict, scene in zip(judged, scenes) if scene.written]
    looks = ("is_thing", "is_colour", "is_count", "is_place", "is_thing_and_colour", "is_right")
    table = {
        look.removeprefix("is_"): estimate_proportion(sum(getattr(verdict, look) for verdict in things), len(things))
        for look in looks
    }
    return {**table, "written": estimate_proportion(sum(writing), len(writing))}
