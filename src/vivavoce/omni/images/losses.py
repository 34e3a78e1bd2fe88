"""What the image tokenizer is trained to keep: pixels, edges at several scales, local structure."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def reconstruction_loss(made: Tensor, wanted: Tensor, hue_weight: float = 0.0) -> dict[str, Tensor]:
    """The terms of the loss, and their weighted sum as `loss`. Signals [B, 3, 64, 64] in [-1, 1].

    pixel: L1 plus squared error, where what differs from the picture's ground weighs more: things are small, ground is
    not. edge: L1 of differences between neighbours at three scales. structure: 1 - SSIM (Wang 2004) at half size. hue: L1
    of the colour differences of things at an eighth of the size, weighed by `hue_weight`.
    """
    made, wanted = made.float(), wanted.float()
    # every fourth pixel each way is enough to find the ground, and the median is the dearest step of the loss
    ground = wanted[:, :, 2::4, 2::4].flatten(2).median(2).values[..., None, None]
    is_thing = ((wanted - ground).abs().amax(1, keepdim=True) > 0.25).float()
    weight = 1 + 2 * F.max_pool2d(is_thing, 3, 1, 1)
    error = made - wanted
    pixel = (weight * (error.abs() + error.square())).mean()
    edge = structure = made.new_zeros(())
    small_made, small_wanted = made, wanted
    for scale in range(3):
        edge = edge + _edge_error(small_made, small_wanted)
        if scale == 1:
            structure = structure + 1 - measure_ssim(small_made, small_wanted)
        small_made, small_wanted = F.avg_pool2d(small_made, 2), F.avg_pool2d(small_wanted, 2)
    # both are at an eighth of their size by now: one value a cell
    pulled = _hue(small_made) - _hue(small_wanted)
    hue = (pulled.abs() * (1 + 4 * F.avg_pool2d(is_thing, 8))).mean()
    return {
        "loss": pixel + edge + 0.3 * structure + hue_weight * hue,
        "pixel": pixel.detach(),
        "edge": edge.detach(),
        "structure": structure.detach(),
        "hue": hue.detach(),
    }


def _hue(signal: Tensor) -> Tensor:
    """Colour differences [B, 2, H, W]: red against green, blue against both."""
    red, green, blue = signal.unbind(1)
    return torch.stack([red - green, blue - (red + green) / 2], 1)


def _edge_error(made: Tensor, wanted: Tensor) -> Tensor:
    across = (made.diff(dim=3) - wanted.diff(dim=3)).abs().mean()
    return across + (made.diff(dim=2) - wanted.diff(dim=2)).abs().mean()


def measure_ssim(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean structural similarity over 7 x 7 windows. Signals [B, 3, H, W] in [-1, 1]. Source: Wang and others 2004."""
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    mean_made, mean_wanted = F.avg_pool2d(made, 7, 1), F.avg_pool2d(wanted, 7, 1)
    variance_made = F.avg_pool2d(made.square(), 7, 1) - mean_made.square()
    variance_wanted = F.avg_pool2d(wanted.square(), 7, 1) - mean_wanted.square()
    covariance = F.avg_pool2d(made * wanted, 7, 1) - mean_made * mean_wanted
    top = (2 * mean_made * mean_wanted + c1) * (2 * covariance + c2)
    bottom = (mean_made.square() + mean_wanted.square() + c1) * (variance_made + variance_wanted + c2)
    return torch.mean(top / bottom)
