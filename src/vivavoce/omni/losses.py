"""What the trunk is trained to minimise: one weighted cross-entropy per stream.

Weights of single steps come with the data (`layout`); here are the weights of the streams against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.step_batch import StepBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Weight of each stream's mean loss (reference: text to speech about 3 to 1)."""

    token: float = 1.0
    """text answers and image codes, on token steps"""
    turn: float = 1.0
    """`<speak>`, `<stop>` or neither"""
    text: float = 1.0
    """own text on clock steps"""
    codes: float = 1.0
    """all audio books together"""
    z: float = 1e-4
    """square of the log-partition of token logits, against drift"""
    levels: float = 0.5
    """of a code's levels beside the code itself (`level_loss`), for pictures and sound"""
    image_levels: tuple[int, ...] = ()
    """levels of the image tokenizer's book, the first least significant; empty: its codes are names and no more"""
    audio_levels: tuple[int, ...] = ()
    """levels of the speech codec's books"""


def compute_losses(
    model: OmniForConversation, batch: StepBatch, weights: LossWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """Total loss and each stream's mean loss (detached), in nats.

    Only positions that carry weight pass the heads.
    """
    hidden = model.hear_trunk(model.embed(batch), batch.rows)
    total = hidden.new_zeros((), dtype=torch.float32)
    report: dict[str, Tensor] = {}
    if len(batch.target_places):
        total = total + _token_losses(model, batch, hidden, weights, report)
    if len(batch.clock_places):
        total = total + _clock_losses(model, batch, hidden, weights, report)
    return total, report


class LossModule(nn.Module):
    """`compute_losses` as a module, so that sharding has a forward to hook."""

    def __init__(self, model: OmniForConversation, weights: LossWeights) -> None:
        super().__init__()
        self.model, self.weights = model, weights

    def forward(self, batch: StepBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and each stream's."""
        return compute_losses(self.model, batch, self.weights)


def _token_losses(
    model: OmniForConversation, batch: StepBatch, hidden: Tensor, weights: LossWeights, report: dict[str, Tensor]
) -> Tensor:
    logits = model.lm_head(hidden[batch.target_places]).float()
    loss = _mean_loss(logits, batch.targets, batch.target_weights)
    report["token"] = loss.detach()
    total = weights.token * loss + weights.z * logits.logsumexp(-1).square().mean()
    if weights.image_levels:
        first = model.config.num_text_ids
        # words have no levels: theirs count for nothing, whichever code stands in for them
        near = level_loss(logits[:, first:], (batch.targets - first).clamp_min(0), weights.image_levels)
        near = near.where(batch.targets >= first, 0) * batch.target_weights
        total = total + weights.token * weights.levels * near.sum() / batch.target_weights.sum()
    return total


def _clock_losses(
    model: OmniForConversation,
    batch: StepBatch,
    hidden: Tensor,
    weights: LossWeights,
    report: dict[str, Tensor],
) -> Tensor:
    said = hidden[batch.said_places]
    total = hidden.new_zeros((), dtype=torch.float32)
    for name, stream_logits, targets, step_weights in (
        ("turn", model.turn_logits(hidden[batch.clock_places]), batch.turn, batch.turn_weights),
        ("text", model.text_logits(said), batch.text, batch.text_weights),
    ):
        loss = _mean_loss(stream_logits.float(), targets, step_weights)
        total = total + getattr(weights, name) * loss
        report[name] = loss.detach()
    voiced = batch.voiced_places
    if len(voiced):
        codes = batch.codes[voiced]
        code_logits = model.code_logits(said[voiced], batch.text[voiced], codes).float()
        spread = batch.code_weights[voiced][:, None].expand_as(codes)
        loss = _mean_loss(code_logits.flatten(0, 1), codes.flatten(), spread.flatten())
        total = total + weights.codes * loss
        report["codes"] = loss.detach()
        if weights.audio_levels:
            near = level_loss(code_logits.flatten(0, 1), codes.flatten(), weights.audio_levels)
            total = total + weights.codes * weights.levels * (near * spread.flatten()).sum() / spread.sum()
    return total


def level_loss(logits: Tensor, codes: Tensor, levels: Sequence[int]) -> Tensor:
    """-log of the probability that each level of a code is right, whatever the others are: mean over the levels, [N].

    A code of finite scalar quantisation is a mixed-radix number of levels (arXiv 2309.15505), and codes that share levels
    look or sound alike; as names alone each would be learned apart.

    Shapes: logits [N, product of levels]; codes [N].
    """
    # the first level is the least significant, so it is the last axis
    grid = logits.log_softmax(-1).unflatten(-1, tuple(reversed(levels)))
    total = torch.zeros_like(codes, dtype=logits.dtype)
    below = 1
    for idx, count in enumerate(levels):
        kept = grid.ndim - 1 - idx
        marginal = grid.logsumexp([axis for axis in range(1, grid.ndim) if axis != kept])
        total = total - marginal.gather(1, (codes // below % count)[:, None])[:, 0]
        below *= count
    return total / len(levels)


def _mean_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    losses = F.cross_entropy(logits, targets, reduction="none")
    return (losses * weights).sum() / weights.sum().clamp_min(1e-6)
