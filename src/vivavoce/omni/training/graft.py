"""A stem that has learned more, put under a trunk that knows another.

A trunk reads a few hundred numbers a clock step, and a stem that went on learning alone says the same in other numbers. The
layer between the two is therefore fitted, by ridge regression, to what it said of the same recordings with the stem before: what
the new one hears better stays in it, and the trunk begins little worse than it was (experiments/LOG.md, 2026-11-30).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from vivavoce.errors import DataError
from vivavoce.omni.configuration import MEL_FRAMES_PER_STEP
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.stem import Stem
from vivavoce.omni.training.ear import EarBatch

_RIDGE = 1e-5
"""Of the mean sum of squares of a feature, added to each. chosen."""


@torch.no_grad()
def graft(model: OmniForConversation, stem: Stem, batches: Iterable[EarBatch]) -> float:
    """Put `stem` under `model` and refit `sound_in`, so that the trunk reads of `batches` what it read with its own; the share of
    variance that is explained, at most 1.

    Shapes: features [N, C] of all N clock steps that are no padding, wanted [N, D]. Source: ridge regression (Hoerl and
    Kennard 1970), solved by its normal equations, with an intercept.

    Raises: DataError if `batches` are none, or of silence alone.
    """
    layer = model.sound_in
    width, device = layer.in_features + 1, layer.weight.device
    squares = torch.zeros(width, width, dtype=torch.float64, device=device)
    products = torch.zeros(width, layer.out_features, dtype=torch.float64, device=device)
    total, wanted_sum, count = 0.0, torch.zeros(layer.out_features, dtype=torch.float64, device=device), 0
    for batch in batches:
        mel = batch.mel.to(device)
        is_real = (torch.arange(mel.shape[1] // MEL_FRAMES_PER_STEP)[None] < batch.lengths[:, None]).to(device)
        features, wanted = stem(mel)[is_real].double(), layer(model.stem(mel))[is_real].double()
        features = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
        squares += features.T @ features
        products += features.T @ wanted
        total, wanted_sum, count = total + float(wanted.square().sum()), wanted_sum + wanted.sum(0), count + len(wanted)
    variance = total - float(wanted_sum.square().sum()) / max(1, count)
    if not variance > 0:
        raise DataError(f"{count} clock steps of recordings to fit a stem to say one thing; give more recordings")
    ridge = _RIDGE * squares.diagonal().mean() * torch.eye(width, dtype=torch.float64, device=device)
    weights = torch.linalg.solve(squares + ridge, products)
    layer.weight.copy_(weights[:-1].T)
    layer.bias.copy_(weights[-1])
    model.stem.load_state_dict(stem.state_dict())
    left = total - 2 * float((weights * products).sum()) + float((weights * (squares @ weights)).sum())
    return 1 - left / variance
