"""The ear: from log-mel frames to features of each clock step, causally, as sound comes in.

Three stages, at 50, 25 and 12.5 Hz: a strided convolution, then gated blocks that look back over depth-wise convolutions.
Most of the looking back is done where frames are still fine, since a sound that is a fifth of a second long is two clock
steps and ten frames at 50 Hz.

Offline and streaming run the same code: a state holds what each convolution still needs of the past; a fresh state is
zeros. State layout: one tensor per convolution, in `Stem.convolutions` order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vivavoce.errors import ConfigError
from vivavoce.omni.configuration import MEL_BINS

StemState = tuple[Tensor, ...]

NUM_STAGES = 3
SPELLING_STAGE = 1
"""The stage, at 25 Hz, that spells while the ear is taught alone (`training/ear.py`)."""
_STRIDED_KERNEL = 4
_MIX_KERNEL = 9


class CausalConvolution(nn.Conv1d):
    """A convolution that sees only the past. `context` samples are kept between calls."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        self.context = kernel - stride

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, C, S], past [B, C, context]; S a multiple of the stride. Returns ([B, C', S / stride], new past)."""
        joined = torch.cat([past.to(x.dtype), x], dim=-1)
        return self(joined), joined[..., joined.shape[-1] - self.context :]


class GatedBlock(nn.Module):
    """Depth-wise causal convolution over steps, then a gated linear unit; residual."""

    def __init__(self, width: int, kernel: int = _MIX_KERNEL) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = CausalConvolution(width, width, kernel, groups=width)
        self.gate = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, C], past [B, C, kernel - 1]."""
        mixed, past = self.mix.step(self.norm(x).transpose(1, 2), past)
        return x + self.out(F.glu(self.gate(mixed.transpose(1, 2)), dim=-1)), past


class Stage(nn.Module):
    """Half as many steps, then gated blocks."""

    def __init__(self, inputs: int, width: int, num_blocks: int) -> None:
        super().__init__()
        self.strided = CausalConvolution(inputs, width, _STRIDED_KERNEL, 2)
        self.blocks = nn.ModuleList([GatedBlock(width) for _ in range(num_blocks)])

    @property
    def convolutions(self) -> list[CausalConvolution]:
        """All of them, in the order of the state."""
        return [self.strided, *(block.mix for block in self.blocks)]  # type: ignore[list-item]

    def step(self, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """x [B, 2 T, C] to [B, T, C'], and the new state."""
        x, past = self.strided.step(x.transpose(1, 2), state[0])
        x, new_state = F.gelu(x).transpose(1, 2), [past]
        for block, past in zip(self.blocks, state[1:]):
            x, past = block.step(x, past)  # type: ignore[operator]
            new_state.append(past)
        return x, new_state


class Stem(nn.Module):
    """Log-mel at 100 Hz to features [B, T, widths[-1]] at 12.5 Hz.

    Raises: ConfigError unless there are three widths and three numbers of blocks.
    """

    def __init__(self, widths: Sequence[int], num_blocks: Sequence[int]) -> None:
        super().__init__()
        if len(widths) != NUM_STAGES or len(num_blocks) != NUM_STAGES:
            raise ConfigError(
                f"stem_widths {list(widths)} and stem_blocks {list(num_blocks)} need {NUM_STAGES} numbers each"
            )
        inputs = [MEL_BINS, *widths[:-1]]
        self.stages = nn.ModuleList([Stage(*sizes) for sizes in zip(inputs, widths, num_blocks)])

    @property
    def convolutions(self) -> list[CausalConvolution]:
        """All of them, in the order of the state."""
        return [conv for stage in self.stages for conv in stage.convolutions]  # type: ignore[union-attr]

    def make_state(self, batch_size: int) -> StemState:
        """The state of silence before time 0."""
        weight = self.convolutions[0].weight
        return tuple(weight.new_zeros(batch_size, conv.in_channels, conv.context) for conv in self.convolutions)

    def step(self, mel: Tensor, state: StemState) -> tuple[Tensor, StemState]:
        """Features of the next clock steps.

        Shapes: mel [B, 8 T, 80]; result [B, T, C].
        """
        stages, new_state = self._step_stages(mel, state)
        return stages[-1], new_state

    def forward(self, mel: Tensor) -> Tensor:
        """The whole of `mel` [B, 8 T, 80] from silence."""
        return self.step(mel, self.make_state(len(mel)))[0]

    def hear_finely(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` gives [B, T, C], and the spelling stage before it [B, 2 T, C'], for teaching."""
        stages, _ = self._step_stages(mel, self.make_state(len(mel)))
        return stages[-1], stages[SPELLING_STAGE]

    def _step_stages(self, mel: Tensor, state: StemState) -> tuple[list[Tensor], StemState]:
        x, outputs, new_state = mel, [], []
        for stage in self.stages:
            past, state = state[: len(stage.convolutions)], state[len(stage.convolutions) :]  # type: ignore[arg-type]
            x, new_past = stage.step(x, past)  # type: ignore[operator]
            outputs.append(x)
            new_state += new_past
        return outputs, tuple(new_state)
