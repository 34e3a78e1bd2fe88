"""The second pass: what was said, heard once more when it is over, with what came after each sound in sight.

The ear and its scribe decide words as they come, from the past alone. When the model takes its turn, all of what was said is there,
and a sound is easier to tell by what follows it. So these layers look both ways over the ear's own features (cascaded encoders:
Narayanan et al. 2021, arXiv 2010.14606), and the note that the trunk reads is what they and the ear find likeliest
(`engine.transcriber`).
A block is a convolution over half a second, then attention over the whole utterance, which knows the speaker.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vivavoce.omni.configuration import MEL_BINS

FRAMES_PER_STEP = 2
"""Frames of the second pass in a clock step: 25 Hz, the rate of the stem's stage that spells."""
MEL_PER_FRAME = 4
"""Frames of the mel in one of those."""
_KERNEL = 15
_HEAD_WIDTH = 64


class Said(NamedTuple):
    """said [B, 2 T, rows], log-probabilities in float32; middle [B, 2 T, C], features half way up, for teaching."""

    said: Tensor
    middle: Tensor


class LookingBlock(nn.Module):
    """A depth-wise convolution that sees both ways and a gated linear unit, then attention; both residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_heads = max(1, width // _HEAD_WIDTH)
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Conv1d(width, width, _KERNEL, padding=_KERNEL // 2, groups=width)
        self.gate = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.attend = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, T, C]; mask [B, 1, 1, T], True where there is sound."""
        mixed = self.mix(self.norm(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.out(F.glu(self.gate(mixed), dim=-1))
        heads = self.attend(self.attention_norm(x)).unflatten(-1, (3, self.num_heads, -1)).transpose(1, 3)
        query, key, value = heads.unbind(2)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return x + self.attended(seen.transpose(1, 2).flatten(2))


class SecondPass(nn.Module):
    """Log-probabilities of words at 25 Hz from mel, and from the stem's features at 25 Hz [F] and 12.5 Hz [G] of the same sound."""

    def __init__(self, num_text_ids: int, num_fine: int, num_coarse: int, width: int, num_blocks: int) -> None:
        super().__init__()
        self.fine_norm, self.coarse_norm = nn.LayerNorm(num_fine), nn.LayerNorm(num_coarse)
        self.enter = nn.Linear(num_fine + num_coarse + MEL_PER_FRAME * MEL_BINS, width)
        self.blocks = nn.ModuleList([LookingBlock(width) for _ in range(num_blocks)])
        self.norm = nn.LayerNorm(width)
        self.hear = nn.Linear(width, num_text_ids)

    def forward(self, mel: Tensor, fine: Tensor, coarse: Tensor, lengths: Tensor | None = None) -> Said:
        """Whole utterances.

        Shapes: mel [B, 8 T, 80], fine [B, 2 T, F], coarse [B, T, G]; lengths [B] in clock steps, past which nothing is attended to;
        None is all of them.
        """
        coarse = self.coarse_norm(coarse).repeat_interleave(FRAMES_PER_STEP, dim=1)
        frames = mel.unflatten(1, (-1, MEL_PER_FRAME)).flatten(2)
        x = self.enter(torch.cat([self.fine_norm(fine), coarse, frames.to(coarse.dtype)], dim=-1))
        mask = None
        if lengths is not None:
            places = torch.arange(x.shape[1], device=x.device)
            mask = (places < FRAMES_PER_STEP * lengths.to(x.device)[:, None])[:, None, None]
        middle = x
        for number, block in enumerate(self.blocks, 1):
            x = block(x, mask)
            if number == (len(self.blocks) + 1) // 2:
                middle = x
        return Said(self.hear(self.norm(x)).float().log_softmax(-1), middle)
