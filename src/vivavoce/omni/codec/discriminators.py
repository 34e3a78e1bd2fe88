"""Judges that learn to tell made sound from true: some fold samples by periods, some look at spectra.

All layers are matrix products over a few neighbouring steps: on a CPU, two-dimensional convolutions as usual elsewhere
took 50 times longer than the codec itself (measured: experiments/LOG.md, 2026-11-22).
Source: multi-period judges, HiFi-GAN, arXiv 2010.05646; spectral judges at several resolutions, UnivNet, arXiv
2106.07889. Both smaller here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Opinion(NamedTuple):
    """Scores of every judge, and the features of all layers of those whose features may be matched."""

    scores: list[Tensor]
    features: list[list[Tensor]]


class FoldedLayer(nn.Module):
    """Linear over `kernel` neighbouring steps, every `stride` steps: [B, N, ..., C] to [B, N', ..., C']."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.linear = nn.utils.parametrizations.weight_norm(nn.Linear(inputs * kernel, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """A step at the end that is not full is left out."""
        return self.linear(x.unfold(1, self.kernel, self.stride).flatten(-2))


class Judge(nn.Module):
    """Layers, then a score for every step that is left."""

    def __init__(self, inputs: int, widths: tuple[int, ...], kernel: int, stride: int) -> None:
        super().__init__()
        pairs = zip((inputs, *widths), widths)
        self.layers = nn.ModuleList([FoldedLayer(a, b, kernel, stride) for a, b in pairs])
        self.score = nn.Linear(widths[-1], 1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """x [B, N, ..., C]."""
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            features.append(x)
        return self.score(x), features


class Judges(nn.Module):
    """All of them. Features are matched where they do not depend on the phase: from windows of 512 samples on."""

    def __init__(
        self,
        periods: tuple[int, ...] = (3, 5, 11),
        sizes: tuple[int, ...] = (128, 256, 512, 1024, 2048),
        width: int = 12,
    ) -> None:
        super().__init__()
        self.periods, self.sizes = periods, sizes
        folded = (width, 2 * width, 4 * width, 4 * width)
        self.of_periods = nn.ModuleList([Judge(1, folded, 5, 3) for _ in periods])
        self.of_sizes = nn.ModuleList([Judge(size // 2 + 1, (8 * width,) * 3, 3, 1) for size in sizes])

    def forward(self, samples: Tensor) -> Opinion:
        """samples [B, S] float32."""
        scores, features = [], []
        for period, judge in zip(self.periods, self.of_periods):
            whole = samples[:, : samples.shape[1] // period * period]
            score, _ = judge(whole.unflatten(1, (-1, period))[..., None])
            scores.append(score)
        for size, judge in zip(self.sizes, self.of_sizes):
            score, found = judge(_log_spectrum(samples, size))
            scores.append(score)
            if size >= 512:
                features.append(found)
        return Opinion(scores, features)


def _log_spectrum(samples: Tensor, size: int) -> Tensor:
    """[B, S] to [B, frames, bins], about zero mean and unit variance for speech."""
    window = torch.hann_window(size, device=samples.device) / (size / 2)
    spectrum = torch.fft.rfft(samples.unfold(1, size, size // 2) * window)
    return (torch.log(spectrum.real.square() + spectrum.imag.square() + 1e-9) + 13) / 4
