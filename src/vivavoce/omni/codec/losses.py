"""What the decoder's sound is held to: spectra at several resolutions, and what discriminators notice."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vivavoce.omni.codec.config import RATE_HZ
from vivavoce.omni.mel import mel_filters

# chosen: from 11 ms, for onsets, to 85 ms, for harmonics
RESOLUTIONS = ((256, 40), (512, 64), (1024, 100), (2048, 160))
_FLOOR = 1e-5


class SpectralLoss(nn.Module):
    """Mean over resolutions of L1 between log-mels, plus L1 between the cube roots of all bins' magnitudes.

    The first says what is heard, the second keeps harmonics sharp above 1 kHz, where bands are wide.
    Source: multi-resolution spectral losses, Parallel WaveGAN, arXiv 1910.11480; we differ in mel bands and cube roots.
    """

    def __init__(self, resolutions: tuple[tuple[int, int], ...] = RESOLUTIONS) -> None:
        super().__init__()
        self.sizes = [size for size, _ in resolutions]
        for size, bins in resolutions:
            self.register_buffer(f"window_{size}", torch.hann_window(size) / (size / 2), persistent=False)
            self.register_buffer(f"mel_{size}", torch.from_numpy(mel_filters(RATE_HZ, size, bins)), persistent=False)

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        """made, true: [B, S] samples."""
        total = made.new_zeros(())
        for size in self.sizes:
            ours, theirs = self._magnitudes(made, size), self._magnitudes(true, size)
            mel = getattr(self, f"mel_{size}")
            log_ours, log_theirs = torch.log(ours @ mel + _FLOOR), torch.log(theirs @ mel + _FLOOR)
            total = total + F.l1_loss(log_ours, log_theirs) + 4 * F.l1_loss(ours ** (1 / 3), theirs ** (1 / 3))
        return total / len(self.sizes)

    def _magnitudes(self, samples: Tensor, size: int) -> Tensor:
        """[B, frames, bins]; never quite 0, where the gradient would be infinite."""
        frames = samples.unfold(1, size, size // 4) * getattr(self, f"window_{size}")
        spectrum = torch.fft.rfft(frames)
        return torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-10)


def discriminator_loss(on_true: list[Tensor], on_made: list[Tensor]) -> Tensor:
    """Hinge loss of the discriminators, mean over them."""
    losses = [F.relu(1 - true).mean() + F.relu(1 + made).mean() for true, made in zip(on_true, on_made, strict=True)]
    return torch.stack(losses).mean()


def generator_loss(on_made: list[Tensor]) -> Tensor:
    """Hinge loss of what made the sound, mean over discriminators."""
    return torch.stack([-made.mean() for made in on_made]).mean()


def feature_loss(of_true: list[list[Tensor]], of_made: list[list[Tensor]]) -> Tensor:
    """L1 between the discriminators' features, each relative to the true one's size; mean over all.

    Source: feature matching, MelGAN, arXiv 1910.06711.
    """
    losses = [
        (true.detach() - made).abs().mean() / (true.detach().abs().mean() + 1e-6)
        for trues, mades in zip(of_true, of_made, strict=True)
        for true, made in zip(trues, mades, strict=True)
    ]
    return torch.stack(losses).mean()
