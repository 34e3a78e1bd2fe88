"""Causal building blocks. Each takes the past it still needs and returns the new past, so streaming is the same code.

Layout is [B, T, C] throughout: on a CPU, a depth-wise convolution as shifted products is faster than `conv1d`, in
bfloat16 and in training most of all (measured: experiments/LOG.md, 2026-11-22).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = list[Tensor]


class DepthwiseMix(nn.Module):
    """Depth-wise causal convolution over `kernel` steps."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(kernel, width) * (kernel * width) ** -0.25 * 0.2)
        self.bias = nn.Parameter(torch.zeros(width))
        self.context = kernel - 1

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, C], past [B, context, C]."""
        joined = torch.cat([past.to(x.dtype), x], dim=1)
        count = x.shape[1]
        weight, total = self.weight.to(x.dtype), self.bias.to(x.dtype)
        for offset in range(self.context + 1):
            total = torch.addcmul(total, joined[:, offset : offset + count], weight[offset])
        return total, joined[:, joined.shape[1] - self.context :]


class Block(nn.Module):
    """ConvNeXt's block on causal steps: depth-wise mix, norm, two linear layers; residual, scaled."""

    def __init__(self, width: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.width = width
        self.mix = DepthwiseMix(width, kernel)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.5))

    def make_state(self, batch_size: int) -> Tensor:
        """The past before time 0."""
        return self.scale.new_zeros(batch_size, self.mix.context, self.width)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, C]."""
        mixed, past = self.mix(x, past)
        return x + self.scale.to(x.dtype) * self.narrow(F.silu(self.widen(self.norm(mixed)))), past


class Tower(nn.Module):
    """Blocks in a row."""

    def __init__(self, count: int, width: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(width, kernel, expansion) for _ in range(count)])

    def make_state(self, batch_size: int) -> State:
        """One tensor a block."""
        return [block.make_state(batch_size) for block in self.blocks]  # type: ignore[operator]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x [B, T, C]."""
        after = []
        for block, past in zip(self.blocks, state, strict=True):
            x, past = block(x, past)
            after.append(past)
        return x, after
