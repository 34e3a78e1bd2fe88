"""The ear: from log-mel frames to one vector per clock step, causally, as sound comes in.

Offline and streaming run the same code: a state holds what each convolution still needs of the past; a fresh state is
zeros. State layout: one tensor per convolution, in `Stem.convolutions` order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vivavoce.omni.configuration import MEL_BINS

StemState = tuple[Tensor, ...]


class CausalConvolution(nn.Conv1d):
    """A convolution that sees only the past. `context` samples are kept between calls."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        self.context = kernel - stride

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, C, S], past [B, C, context]; S a multiple of the stride. Returns ([B, C', S / stride], new past)."""
        joined = torch.cat([past, x], dim=-1)
        return self(joined), joined[..., joined.shape[-1] - self.context :]


class GatedBlock(nn.Module):
    """Depth-wise causal convolution over clock steps, then a gated linear unit; residual."""

    def __init__(self, width: int, kernel: int = 5) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = CausalConvolution(width, width, kernel, groups=width)
        self.gate = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, D], past [B, D, kernel - 1]."""
        mixed, past = self.mix.step(self.norm(x).transpose(1, 2), past)
        return x + self.out(F.glu(self.gate(mixed.transpose(1, 2)), dim=-1)), past


class Stem(nn.Module):
    """Log-mel at 100 Hz to clock steps at 12.5 Hz: three strided convolutions, two gated blocks."""

    def __init__(self, stem_width: int, width: int) -> None:
        super().__init__()
        self.strided = nn.ModuleList(
            [
                CausalConvolution(MEL_BINS, stem_width, 3, 2),
                CausalConvolution(stem_width, stem_width, 3, 2),
                CausalConvolution(stem_width, width, 3, 2),
            ]
        )
        self.blocks = nn.ModuleList([GatedBlock(width), GatedBlock(width)])
        self.norm = nn.LayerNorm(width)

    @property
    def convolutions(self) -> list[CausalConvolution]:
        """All of them, in the order of the state."""
        return [*self.strided, *(block.mix for block in self.blocks)]  # type: ignore[list-item]

    def make_state(self, batch_size: int) -> StemState:
        """The state of silence before time 0."""
        weight = self.norm.weight
        return tuple(weight.new_zeros(batch_size, conv.in_channels, conv.context) for conv in self.convolutions)

    def step(self, mel: Tensor, state: StemState) -> tuple[Tensor, StemState]:
        """Vectors of the next clock steps.

        Shapes: mel [B, 8 T, 80]; result [B, T, D].
        """
        x, new_state = mel.transpose(1, 2), []
        for conv, past in zip(self.strided, state):
            x, past = conv.step(x, past)  # type: ignore[operator]
            x = F.gelu(x)
            new_state.append(past)
        x = x.transpose(1, 2)
        for block, past in zip(self.blocks, state[len(self.strided) :]):
            x, past = block.step(x, past)  # type: ignore[operator]
            new_state.append(past)
        return self.norm(x), tuple(new_state)

    def forward(self, mel: Tensor) -> Tensor:
        """The whole of `mel` [B, 8 T, 80] from silence."""
        return self.step(mel, self.make_state(len(mel)))[0]
