"""Finite scalar quantisation: each number is rounded to one of a few levels; a book's code is their mixed-radix index."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ScalarQuantizer(nn.Module):
    """`num_books` books over `num_books * len(levels)` numbers, in order.

    Source: Mentzer et al., "Finite scalar quantization", arXiv 2309.15505, section 3. We differ: levels are spread evenly
    over [-1, 1] with both ends used, for odd and even numbers of levels alike.
    """

    spans: Tensor
    radix: Tensor

    def __init__(self, levels: tuple[int, ...], num_books: int) -> None:
        super().__init__()
        self.num_books, self.per_book = num_books, len(levels)
        spans = torch.tensor(levels * num_books) - 1
        radix = torch.cumprod(torch.tensor((1, *levels[:-1])), 0)
        self.register_buffer("spans", spans, persistent=False)
        self.register_buffer("radix", radix, persistent=False)

    def forward(self, z: Tensor, jitter: float = 0.0) -> Tensor:
        """Rounded numbers in [-1, 1]; the gradient passes as if nothing was rounded.

        z: [B, T, latent]. jitter: the share of numbers moved by one level up or down, so that a decoder forgives near
        misses of the model that predicts codes.
        """
        bounded = torch.tanh(z.float())
        steps = self._round(bounded)
        if jitter:
            moved = torch.randint(0, 2, steps.shape) * 2 - 1
            is_moved = torch.rand(steps.shape) < jitter
            steps = torch.minimum((steps + moved * is_moved).clamp(min=0), self.spans)
        return bounded + (self._spread(steps) - bounded).detach()

    def encode(self, z: Tensor) -> Tensor:
        """Codes of z: [B, T, latent] to [B, T, books] int64."""
        steps = self._round(torch.tanh(z.float())).long()
        return (steps.unflatten(-1, (self.num_books, self.per_book)) * self.radix).sum(-1)

    def decode(self, codes: Tensor) -> Tensor:
        """Numbers of codes: [B, T, books] int64 to [B, T, latent] float32 in [-1, 1]."""
        spans = self.spans.unflatten(0, (self.num_books, self.per_book))
        steps = codes[..., None] // self.radix % (spans + 1)
        return self._spread(steps.flatten(-2))

    def _round(self, bounded: Tensor) -> Tensor:
        return torch.round((bounded + 1) / 2 * self.spans)

    def _spread(self, steps: Tensor) -> Tensor:
        return steps / self.spans * 2 - 1
