"""Teaching the eye alone, before the trunk: which words of its caption a picture calls for.

A bag of words from weak captions is enough to learn to see (Joulin et al. 2016). Every cell says words; a word counts as said
as far as any cell says it (log-sum-exp), so what is where stays in the cell, which is where the trunk will look for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW
from torch.utils.data import Dataset

from vivavoce.content import Image
from vivavoce.errors import ConfigError
from vivavoce.omni.configuration import PRESETS, OmniConfig
from vivavoce.omni.eye import Eye, scale_pixels
from vivavoce.omni.layout import fit_image
from vivavoce.omni.training.batches import load_batches
from vivavoce.omni.training.loop import Loop, LoopConfig, WriteSample, step_generator
from vivavoce.omni.vocabulary import Vocabulary
from vivavoce.run import Run

DrawCaptioned = Callable[[np.random.Generator], tuple[Image, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EyeTrainConfig:
    """Everything that decides what the trained eye is."""

    preset: str = "nano"
    """nano, small or tiny"""
    start_from: str = ""
    """digest of the eye that this cycle goes on from; empty: none"""
    words_of: str = ""
    """digest of the trunk in whose words it names; empty: in words of its own"""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=1500, warmup_steps=50, decay_share=0.4))
    pictures: int = 64
    """pictures of one optimiser step"""
    rate: float = 1e-3
    """peak learning rate"""
    is_bf16: bool = True
    """convolutions in bfloat16"""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"preset is {self.preset!r}; there are {', '.join(PRESETS)}")
        if self.pictures < 1:
            raise ConfigError(f"pictures is {self.pictures}; need at least 1")


class Namer(nn.Module):
    """The trunk's eye with one linear layer to text rows."""

    def __init__(self, config: OmniConfig) -> None:
        super().__init__()
        self.eye = Eye(config.eye_width, config.hidden_size)
        self.words = nn.Linear(config.hidden_size, config.num_text_ids)
        # most words are in few captions
        nn.init.constant_(self.words.bias, -8.0)

    def speak_as(self, table: Tensor) -> None:
        """Name in a trunk's own words from now on: cells turn to the directions of its word vectors, [rows, D], which are
        also what it reads words off by; then what it must learn is where to look."""
        with torch.no_grad():
            self.words.weight.copy_(F.normalize(table[: len(self.words.weight)].float(), dim=1))
            self.words.bias.fill_(-8.0)
        self.words.weight.requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of each text row's being in the caption: pixels [B, 3, 64, 64] to [B, rows] float32."""
        return self.words(self.eye(pixels)).float().flatten(1, 2).logsumexp(1)


class PictureBatch(NamedTuple):
    """pixels [B, 3, 64, 64]; words [B, rows], 1 where the caption has that row."""

    pixels: Tensor
    words: Tensor


class Captioned(Dataset[PictureBatch]):
    """`self[step]` is that step's batch of new pictures, by seed and step alone."""

    def __init__(self, draw: DrawCaptioned, vocabulary: Vocabulary, size: int, *, seed: int) -> None:
        self.draw, self.vocabulary, self.size, self.seed = draw, vocabulary, size, seed

    def __getitem__(self, step: int) -> PictureBatch:
        """The batch of one step."""
        generator = np.random.default_rng(step_generator(self.seed, step, "eye").initial_seed())
        pairs = [self.draw(generator) for _ in range(self.size)]
        pixels = torch.from_numpy(np.stack([fit_image(image).pixels for image, _ in pairs]))
        words = torch.zeros(self.size, self.vocabulary.num_text_ids)
        for row, (_, caption) in zip(words, pairs):
            # a leading space, as inside a sentence: there is one row for a word, not two
            row[self.vocabulary.encode(f" {caption}")] = 1.0
        return PictureBatch(scale_pixels(pixels), words)


def train_eye(
    namer: Namer, run: Run, config: EyeTrainConfig, batches: Captioned, *, num_workers: int = 1,
    write_sample: WriteSample | None = None,
) -> None:  # fmt: skip
    """Train `namer` in place until `config.loop.steps`; resumes from the run's newest state."""
    learned = [parameter for parameter in namer.parameters() if parameter.requires_grad]
    optimizer = AdamW(learned, lr=config.rate, betas=(0.9, 0.98), weight_decay=0.02)
    loop = Loop(run, config.loop, {"eye": namer}, {"adamw": optimizer})
    stream = load_batches(batches, range(loop.step, config.loop.steps), num_workers=num_workers)
    namer.train()

    def take_step(step: int) -> Mapping[str, float | Tensor]:
        batch = next(stream)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.is_bf16):
            logits = namer(batch.pixels)
        loss = F.binary_cross_entropy_with_logits(logits, batch.words, reduction="sum") / len(batch.pixels)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(namer.parameters(), 1.0)
        optimizer.step()
        return {"loss/words_nats": loss.detach(), "train/gradient_norm": norm}

    loop.train(take_step, write_sample)


@torch.no_grad()
def measure_eye(namer: Namer, batch: PictureBatch) -> dict[str, float]:
    """Share of pictures whose words are all found and no other, and of words found."""
    was_training = namer.training
    namer.eval()
    said, wanted = namer(batch.pixels) > 0, batch.words > 0
    namer.train(was_training)
    return {
        "all_right": float((said == wanted).all(1).float().mean()),
        "words_found": float((said & wanted).sum() / wanted.sum()),
    }
