"""Teaching the second pass, over an ear that stays as it is: connectionist temporal classification, as the ear learned.

Nothing that the trunk hears changes by it, so a checkpoint gets a new one without learning anew. Utterances are as the ear has
them, but quiet follows for as long as it may before a turn is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vivavoce.errors import ConfigError
from vivavoce.omni.configuration import PRESETS, OmniConfig
from vivavoce.omni.network import make_second_pass
from vivavoce.omni.second_pass import FRAMES_PER_STEP, Said
from vivavoce.omni.stem import Stem
from vivavoce.omni.training.batches import load_batches
from vivavoce.omni.training.ear import (
    LETTERS,
    EarBatch,
    Quiet,
    Utterances,
    count_token_edits,
    ctc_loss,
    make_optimizers,
    update_all,
)
from vivavoce.omni.training.loop import Loop, LoopConfig, WriteSample
from vivavoce.run import Run

QUIET = Quiet(max_lead=80, max_tail=40)
"""Around an utterance in use: before it a second at most, after it four clock steps, when it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondPassTrainConfig:
    """Everything that decides what the trained second pass is."""

    preset: str = "nano"
    """nano, small or tiny"""
    stem: str = ""
    """digest of the stem that it hears through"""
    again_from: str = ""
    """digest of the second pass that it goes on from; empty: none"""
    data: str = ""
    """digest of the rendered data"""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=4000, warmup_steps=100, decay_share=0.6))
    utterances: int = 64
    """utterances of one optimiser step, over all processes"""
    rate: float = 2e-3
    """peak learning rate"""
    spelling_weight: float = 0.3
    """of the letters half way up (hierarchical CTC, arXiv 1807.07104)"""
    splice_share: float = 0.0
    """of utterances that are spliced from words (`splicing`)"""
    alone_share: float = 0.0
    """of utterances in which the stem's features are missing: the stem has learned the same recordings, so of voices that it does not
    know it says less than it promises"""
    is_bf16: bool = True
    """matrix products in bfloat16"""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"preset is {self.preset!r}; there are {', '.join(PRESETS)}")
        if self.utterances < 1:
            raise ConfigError(f"utterances is {self.utterances}; need at least 1")
        for name, share in (("splice_share", self.splice_share), ("alone_share", self.alone_share)):
            if not 0 <= share <= 1:
                raise ConfigError(f"{name} is {share}; need a share from 0 to 1")


class Listener(nn.Module):
    """The second pass, one linear layer to letters half way up, and the stem, which does not learn. alone_share: as in
    `SecondPassTrainConfig`, while it learns."""

    def __init__(self, config: OmniConfig, stem: Stem, *, alone_share: float = 0.0) -> None:
        super().__init__()
        self.alone_share = alone_share
        self.second_pass = make_second_pass(config)
        self.spelling = nn.Linear(config.second_pass_width, len(LETTERS) + 1)
        self._stem = [stem.eval().requires_grad_(False)]  # in a list, so that it is no part of what is saved

    def move_to(self, device: torch.device) -> None:
        """All of it, the stem too."""
        nn.Module.to(self, device)
        nn.Module.to(self._stem[0], device)

    def forward(self, batch: EarBatch) -> Said:
        """What was said in each utterance."""
        with torch.no_grad():
            coarse, fine = self._stem[0].hear_finely(batch.mel)
            if self.training and self.alone_share:
                is_there = torch.rand(len(fine), 1, 1, device=fine.device) >= self.alone_share
                coarse, fine = coarse * is_there, fine * is_there
        return self.second_pass(batch.mel, fine, coarse, batch.lengths)

    def spell(self, said: Said) -> Tensor:
        """Log-probabilities of letters at 25 Hz, blank first, [B, 2 T, letters + 1] float32."""
        return self.spelling(said.middle).float().log_softmax(-1)


def train_second_pass(
    listener: Listener,
    run: Run,
    config: SecondPassTrainConfig,
    batches: Utterances,
    *,
    num_workers: int = 1,
    write_sample: WriteSample | None = None,
) -> None:
    """Train `listener` in place until `config.loop.steps`; resumes from the run's newest state."""
    named = list(listener.named_parameters())
    optimizers = make_optimizers(named, config.rate, matrices_in=".blocks.")
    loop = Loop(run, config.loop, {"listener": listener}, optimizers, is_main=batches.rank == 0)
    device = next(listener.parameters()).device
    stream = load_batches(batches, range(loop.step, config.loop.steps), num_workers=num_workers, device=device)
    listener.train()

    def take_step(step: int) -> Mapping[str, float | Tensor]:
        batch = next(stream).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.is_bf16):
            said = listener(batch)
            spelled = listener.spell(said)
        lengths = batch.lengths * FRAMES_PER_STEP
        loss = ctc_loss(said.said, lengths, batch.ids, batch.id_lengths)
        spelling = ctc_loss(spelled, lengths, batch.letters, batch.letter_lengths)
        total = loss + config.spelling_weight * spelling
        norm = update_all(optimizers, total, [tensor for _, tensor in named], batches.world)
        return {
            "loss/ctc_nats": loss.detach(),
            "loss/spelling_nats": spelling.detach(),
            "train/gradient_norm": norm,
        }

    loop.train(take_step, write_sample)


@torch.no_grad()
def measure_second_pass(listener: Listener, batches: Iterator[EarBatch]) -> float:
    """Token error rate of the greedy path: edits over reference tokens, all utterances together."""
    device = next(listener.parameters()).device
    listener.eval()
    errors = tokens = 0
    for batch in batches:
        found = count_token_edits(listener(batch.to(device)).said, batch.lengths * FRAMES_PER_STEP, batch)
        errors, tokens = errors + found[0], tokens + found[1]
    listener.train()
    return errors / max(1, tokens)
