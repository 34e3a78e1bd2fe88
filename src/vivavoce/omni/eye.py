"""The eye: from a picture to one vector per patch of 8 x 8 pixels, each of which has seen most of the picture.

Patches alone, through one linear layer, left shapes to a trunk that reads them one after another and looks only back: it
learned colours, and after 70,000 rows not one shape (experiments/LOG.md). Convolutions first is what Xiao et al. 2021 found to
mend early training of vision transformers; and an eye can learn alone, which costs a hundredth of the trunk.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vivavoce.omni.configuration import IMAGE_PIXELS

NUM_BLOCKS = 4
"""Each widens what a cell sees by 16 pixels. chosen: with four a cell in the middle sees the whole picture."""


class Eye(nn.Module):
    """Pictures [B, 3, 64, 64] in [-1, 1] to cells [B, 8, 8, D]: three strided convolutions, four residual ones."""

    def __init__(self, eye_width: int, width: int) -> None:
        super().__init__()
        self.strided = nn.ModuleList(
            [
                nn.Conv2d(3, eye_width // 4, 5, stride=2, padding=2),
                nn.Conv2d(eye_width // 4, eye_width // 2, 3, stride=2, padding=1),
                nn.Conv2d(eye_width // 2, eye_width, 3, stride=2, padding=1),
            ]
        )
        self.blocks = nn.ModuleList([nn.Conv2d(eye_width, eye_width, 3, padding=1) for _ in range(NUM_BLOCKS)])
        self.out = nn.Linear(eye_width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Shapes: pixels [B, 3, 64, 64]; result [B, 8, 8, D]."""
        x = pixels
        for conv in self.strided:
            x = F.gelu(conv(x))
        for conv in self.blocks:
            x = x + conv(F.gelu(x))
        return self.norm(self.out(x.permute(0, 2, 3, 1)))


def join_patches(patches: Tensor, patch_pixels: int) -> Tensor:
    """Pictures [P, 3, 64, 64] from their patches [P, N, pixels^2 * 3] (`steps.cut_patches` undone)."""
    side = IMAGE_PIXELS // patch_pixels
    blocks = patches.reshape(len(patches), side, side, patch_pixels, patch_pixels, 3)
    return blocks.permute(0, 5, 1, 3, 2, 4).reshape(len(patches), 3, IMAGE_PIXELS, IMAGE_PIXELS)


def pool_cells(cells: Tensor, side: int) -> Tensor:
    """Means of cells [P, 8, 8, D] to [P, side * side, D]."""
    num, rows, _, width = cells.shape
    share = rows // side
    return cells.reshape(num, side, share, side, share, width).mean(dim=(2, 4)).flatten(1, 2)


def scale_pixels(pixels: Tensor) -> Tensor:
    """uint8 [B, 64, 64, 3] to what the eye reads."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
