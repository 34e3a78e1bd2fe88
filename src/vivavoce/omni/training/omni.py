"""Training the trunk, on one device or many.

One configuration, whole learning-rate cycles that may start from weights, bf16 where it is quicker, bit-exact resume on
CPU. Under `torchrun`, AdamW's runs are sharded and Muon's are copied (`parallel`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import AdamW, Muon, Optimizer

from vivavoce.errors import ConfigError
from vivavoce.omni.configuration import PRESETS
from vivavoce.omni.losses import LossModule, LossWeights
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.step_batch import StepBatch
from vivavoce.omni.training.batches import BatchConfig, StepBatches, load_batches
from vivavoce.omni.training.loop import Loop, LoopConfig, WriteSample
from vivavoce.omni.training.parallel import average_gradients, shard
from vivavoce.run import Run

logger = logging.getLogger(__name__)


STEMS = ("ear", "fitted", "kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class OmniTrainConfig:
    """Everything that decides what the trained trunk is."""

    preset: str = "nano"
    """nano, small or tiny"""
    start_from: str = ""
    """a checkpoint whose weights start this cycle; empty: from scratch"""
    ear: str = ""
    """digest of the ear that says when words were over, and whose stem starts this cycle; empty: none"""
    misheard_by: str = ""
    """digest of the checkpoint whose mistakes stand in some transcripts; empty: the ear's"""
    eye: str = ""
    """digest of the eye that starts this cycle; empty: none"""
    stem: str = "ear"
    """ear: the ear's, with its scribe; fitted: the same, and how the trunk reads it is fitted to how it read the stem of `start_from`
    (`graft`); kept: stem and scribe of `start_from`"""
    data: str = ""
    """digest of the rendered data, so that a run does not go on with other sounds"""
    mix: str = "all"
    """which tasks, by the curriculum's name for the mix"""
    real: str = ""
    """digest of real data that stands in place of some examples; empty: none"""
    real_share: float = 0.0
    """of examples that are of it"""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=2000))
    batch: BatchConfig = field(default_factory=BatchConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    optimizer: str = "muon"
    """muon: matrices of the layers by Muon, the rest by AdamW; adamw: all by AdamW (the only one for many processes)"""
    rate: float = 3e-3
    """peak learning rate of matrices"""
    table_rate: float = 4e-3
    """peak learning rate of embeddings, heads and vectors"""
    sense_rate: float = 2e-4
    """peak learning rate of stem and eye, by AdamW: at the tables' rate 200 steps undid what they had been taught; 0 leaves
    them as they are, and saves their backward pass. Scribe and second pass have no part in the trunk's losses: where the stem has
    learned, teach them anew (`viva train ear --stem held`, `viva train second-pass`)"""
    weight_decay: float = 0.02
    is_bf16: bool = True
    """matrix products in bfloat16"""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"preset is {self.preset!r}; there are {', '.join(PRESETS)}")
        if self.optimizer not in ("muon", "adamw"):
            raise ConfigError(f"optimizer is {self.optimizer!r}; muon or adamw")
        if not 0 <= self.real_share <= 1:
            raise ConfigError(f"real_share is {self.real_share}; need a share from 0 to 1")
        if self.stem not in STEMS:
            raise ConfigError(f"stem is {self.stem!r}; there are {', '.join(STEMS)}")
        if self.stem == "fitted" and not (self.start_from and self.ear):
            raise ConfigError("a fitted stem needs an ear and a trunk to start from; give --ear and --start-from")


_SENSES = ("stem.", "eye.")
_WRITERS = ("scribe.", "second_pass.")


def make_optimizers(model: nn.Module, config: OmniTrainConfig) -> dict[str, Optimizer]:
    """Muon (Jordan 2024; scaled as in arXiv 2502.16982, so that rates compare with AdamW's) for the matrices that mix
    features, AdamW for tables, heads and vectors, and slowly for the senses; with a rate of 0 these are frozen."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    senses: list[nn.Parameter] = []
    seen: set[int] = set()
    for name, parameter in model.named_parameters():
        if id(parameter) in seen or not parameter.requires_grad:
            continue
        seen.add(id(parameter))
        if name.startswith(_WRITERS):
            parameter.requires_grad_(False)
            continue
        if name.startswith(_SENSES):
            parameter.requires_grad_(config.sense_rate > 0)
            senses += [parameter] if parameter.requires_grad else []
            continue
        is_table = any(word in name for word in ("embed", "table", "position", "marks", "book", "turn_out", "lm_head"))
        is_matrix = parameter.ndim == 2 and not is_table
        (matrices if is_matrix and config.optimizer == "muon" else others).append(parameter)
    groups: list[dict[str, Any]] = [{"params": others}]
    if senses:
        groups.append({"params": senses, "lr": config.sense_rate})
    adamw = AdamW(groups, lr=config.table_rate, betas=(0.9, 0.95), weight_decay=config.weight_decay)
    if not matrices:
        return {"adamw": adamw}
    muon = Muon(matrices, lr=config.rate, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw")
    return {"adamw": adamw, "muon": muon}


def train_omni(
    model: OmniForConversation,
    run: Run,
    config: OmniTrainConfig,
    batches: StepBatches,
    *,
    num_workers: int = 1,
    write_sample: WriteSample | None = None,
) -> None:
    """Train `model` in place until `config.loop.steps`; resumes from the run's newest state."""
    losses = LossModule(model, config.losses)
    is_copied = batches.world > 1 and config.optimizer == "muon"
    if batches.world > 1 and not is_copied:
        shard(model, losses)
    optimizers = make_optimizers(model, config)
    loop = Loop(run, config.loop, {"omni": model}, optimizers, is_main=batches.rank == 0)
    device = next(model.parameters()).device
    stream = load_batches(batches, range(loop.step, config.loop.steps), num_workers=num_workers, device=device)
    model.train()

    def take_step(step: int) -> Mapping[str, float | Tensor]:
        return _take_step(losses, optimizers, next(stream), config, device, is_copied=is_copied)

    loop.train(take_step, write_sample)


def _take_step(
    losses: LossModule,
    optimizers: Mapping[str, Optimizer],
    micro_batches: list[StepBatch],
    config: OmniTrainConfig,
    device: torch.device,
    *,
    is_copied: bool = False,
) -> dict[str, float | Tensor]:
    for optimizer in optimizers.values():
        optimizer.zero_grad(set_to_none=True)
    totals: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    positions = sum(batch.num_positions for batch in micro_batches)
    for batch in micro_batches:
        with torch.autocast(device.type, torch.bfloat16, enabled=config.is_bf16):
            loss, report = losses(batch.to(device))
        # rows count by their length, so that a micro-batch of short rows does not outweigh one of long rows
        (loss * (batch.num_positions / positions)).backward()
        for name, value in report.items():
            totals[name] = totals[name] + value if name in totals else value
            counts[name] = counts.get(name, 0) + 1
    if is_copied:
        average_gradients(losses.parameters())
    norm = nn.utils.clip_grad_norm_(losses.parameters(), 1.0)
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    for optimizer in optimizers.values():
        optimizer.step()
    metrics: dict[str, float | Tensor] = {f"loss/{name}_nats": totals[name] / counts[name] for name in totals}
    return {**metrics, "train/gradient_norm": norm, "train/positions": float(positions)}
