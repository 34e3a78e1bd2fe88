"""Trains the image tokenizer on drawn scenes of the training split, then writes its weights beside the run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vivavoce.content import Image
from vivavoce.data.drawing import draw_scene, sample_style
from vivavoce.data.example import Split
from vivavoce.data.scenes import SCENE_KINDS, sample_scene
from vivavoce.errors import ConfigError
from vivavoce.media import write_image
from vivavoce.omni.images.losses import reconstruction_loss
from vivavoce.omni.images.network import ImageTokenizer, ImageTokenizerConfig, measure_psnr, to_pixels, to_signal
from vivavoce.omni.training.loop import Loop, LoopConfig, step_generator, update
from vivavoce.run import Run

# chosen: numbers and words are harder to keep than their share of use says
_KIND_SHARES = {"single": 3, "placed": 2, "many": 3, "pair": 2, "groups": 2, "digits": 2, "word": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageTrainingConfig:
    """One training run of the image tokenizer."""

    model: ImageTokenizerConfig = field(default_factory=ImageTokenizerConfig)
    """Shape of the network."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=3600))
    """Steps, rates and intervals."""
    batch_pictures: int = 32
    """Pictures to a step."""
    pool_pictures: int = 40_000
    """Distinct pictures in all, drawn when first needed."""
    peak_rate: float = 2e-3
    """Peak learning rate of AdamW."""
    clean_share: float = 0.4
    """Share of pictures in the clean style, which is what the model draws; the others have grounds, outlines and noise."""
    hue_weight: float = 0.0
    """Weight of the loss on the colour of each cell."""
    start_from: str = ""
    """Folder of a tokenizer whose weights to start from; empty to start afresh."""
    is_encoder_frozen: bool = False
    """Train the decoder alone: codes stay what they are, so models that learned them stay good."""
    is_bf16: bool = True
    """Train under bfloat16 autocast (measured: 2 to 3 times faster on a CPU with AMX)."""


def make_config(preset: str) -> ImageTrainingConfig:
    """The configuration of a preset.

    nano, then nano-clean (the second stage: starts from `runs/images`, mostly clean drawings, colour weighs more), then
    nano-decoder (the third: the decoder alone), small (the first stage, longer), tiny (for tests).

    Raises: ConfigError for another name.
    """
    if preset == "nano":
        return ImageTrainingConfig()
    if preset == "nano-clean":
        loop = LoopConfig(steps=700, warmup_steps=30, decay_share=0.9, save_every_steps=100)
        return ImageTrainingConfig(
            loop=loop, clean_share=0.85, hue_weight=1.0, peak_rate=1.2e-3, start_from="runs/images"
        )
    if preset == "nano-decoder":
        loop = LoopConfig(steps=1200, warmup_steps=30, decay_share=0.9, save_every_steps=100)
        return ImageTrainingConfig(
            loop=loop, clean_share=0.95, hue_weight=1.0, start_from="runs/images-clean", is_encoder_frozen=True
        )
    if preset == "small":
        return ImageTrainingConfig(loop=LoopConfig(steps=40_000), batch_pictures=128, pool_pictures=400_000)
    if preset == "tiny":
        model = ImageTokenizerConfig(widths=(8, 8, 16), encoder_blocks=1, decoder_blocks=1)
        loop = LoopConfig(steps=6, warmup_steps=2, save_every_steps=2, log_every_steps=1, sample_every_steps=3)
        return ImageTrainingConfig(model=model, loop=loop, batch_pictures=2, pool_pictures=8, is_bf16=False)
    raise ConfigError(f"preset is {preset!r}; choose nano, nano-clean, nano-decoder, small or tiny")


class ScenePool:
    """Drawn pictures of the training split, by index; drawn when first asked for, then kept as bytes."""

    def __init__(self, num_pictures: int, seed: int, clean_share: float) -> None:
        self.seed, self.clean_share = seed, clean_share
        self._pixels = np.zeros((num_pictures, 64, 64, 3), np.uint8)
        self._is_drawn = np.zeros(num_pictures, bool)

    def __len__(self) -> int:
        return len(self._pixels)

    def take(self, indices: list[int]) -> Tensor:
        """Pixels uint8 [B, 64, 64, 3] of the pictures of these indices."""
        for idx in indices:
            if not self._is_drawn[idx]:
                self._pixels[idx] = draw_pool_picture(self.seed, idx, "train", self.clean_share).pixels
                self._is_drawn[idx] = True
        return torch.from_numpy(self._pixels[indices])


def draw_pool_picture(seed: int, idx: int, split: Split, clean_share: float) -> Image:
    """Picture `idx` of the pool of `seed`: a scene of the split in a plain or clean style."""
    generator = np.random.default_rng((seed, idx, split == "test"))
    shares = np.array([_KIND_SHARES[kind] for kind in SCENE_KINDS], float)
    kind = SCENE_KINDS[int(generator.choice(len(SCENE_KINDS), p=shares / shares.sum()))]
    scene = sample_scene(kind, split, generator)
    family = "clean" if generator.random() < clean_share else "plain"
    return draw_scene(scene, sample_style(int(generator.integers(2**31)), family))


def train(config: ImageTrainingConfig, path: Path, *, resume: bool = False) -> Path:
    """Train (or go on) in the run directory `path`; returns the folder that holds the finished tokenizer.

    Raises: ConfigError if the directory holds another run.
    """
    run = Run.open(path, config, resume=resume)
    # the seed of the first weights is the run's, so that a killed and resumed run equals an uninterrupted one
    torch.manual_seed(config.loop.seed)
    model = _start(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.encoder.requires_grad_(not config.is_encoder_frozen)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.peak_rate, betas=(0.9, 0.98), weight_decay=0.01)
    loop = Loop(run, config.loop, {"tokenizer": model}, {"adamw": optimizer})
    pool = ScenePool(config.pool_pictures, config.loop.seed, config.clean_share)
    shown = torch.from_numpy(
        np.stack([draw_pool_picture(1, idx, "test", config.clean_share).pixels for idx in range(16)])
    )

    def take_step(step: int) -> dict[str, Tensor]:
        chosen = torch.randint(len(pool), (config.batch_pictures,), generator=step_generator(config.loop.seed, step))
        signal = to_signal(pool.take(chosen.tolist())).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.is_bf16):
            made = model(signal)
        terms = reconstruction_loss(made, signal, config.hue_weight)
        terms["grad_norm"] = update(optimizer, terms["loss"])
        terms["psnr_db"] = measure_psnr(to_pixels(made.detach()), to_pixels(signal)).mean()
        return {f"image/{name}": value.detach() for name, value in terms.items()}

    def write_sample(step: int, folder: Path) -> None:
        model.eval()
        pair = torch.cat([shown, model.decode(model.encode(shown))])
        sheet = pair.view(2, 16, 64, 64, 3).permute(0, 2, 1, 3, 4).reshape(128, 1024, 3)
        write_image(folder / f"{step:08d}.png", Image(sheet.numpy().copy()))
        model.train()

    loop.train(take_step, write_sample)
    model.eval().save(run.path)
    run.finish(steps=loop.step, num_parameters=sum(parameter.numel() for parameter in model.parameters()))
    return run.path


def _start(config: ImageTrainingConfig) -> ImageTokenizer:
    if not config.start_from:
        return ImageTokenizer(config.model)
    model = ImageTokenizer.load(config.start_from)
    if model.config != config.model:
        raise ConfigError(
            f"{config.start_from} holds a network of another shape than the preset's; name a folder that fits"
        )
    return model.train()


def with_steps(config: ImageTrainingConfig, steps: int | None) -> ImageTrainingConfig:
    """The configuration with another number of steps, where one is given."""
    return config if steps is None else replace(config, loop=replace(config.loop, steps=steps))
