"""A stem that has learned more, put under a trunk that knows another.

A trunk reads a few hundred numbers a clock step, and a stem that went on learning alone says the same in other numbers. Its
last layer is therefore fitted, by ridge regression, to what the stem before it said of the same recordings: what the new one
hears better stays in it, and the trunk begins little worse than it was (experiments/LOG.md, 2026-11-30).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from vivavoce.errors import DataError
from vivavoce.omni.configuration import MEL_FRAMES_PER_STEP
from vivavoce.omni.stem import Stem
from vivavoce.omni.training.ear import EarBatch

_RIDGE = 1e-5
"""Of the mean sum of squares of a feature, added to each. chosen."""


@torch.no_grad()
def graft(stem: Stem, known: Stem, batches: Iterable[EarBatch]) -> float:
    """Refit the last layer of `stem` in place so that it says what `known` says of `batches`, before the norm, whose weights it
    takes over; the share of variance that it explains, at most 1.

    Shapes: features [N, C] of all N clock steps that are no padding, wanted [N, D]. Source: ridge regression (Hoerl and
    Kennard 1970), solved by its normal equations, with an intercept.

    Raises: DataError if `batches` are none, or of silence alone.
    """
    width = stem.out.in_features + 1
    device = stem.out.weight.device
    squares = torch.zeros(width, width, dtype=torch.float64, device=device)
    products = torch.zeros(width, stem.out.out_features, dtype=torch.float64, device=device)
    total, wanted_sum, count = 0.0, torch.zeros(stem.out.out_features, dtype=torch.float64, device=device), 0
    for batch in batches:
        mel = batch.mel.to(device)
        is_real = (torch.arange(mel.shape[1] // MEL_FRAMES_PER_STEP)[None] < batch.lengths[:, None]).to(device)
        features, wanted = (
            stem.hear_features(mel)[is_real].double(),
            known.out(known.hear_features(mel))[is_real].double(),
        )
        features = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
        squares += features.T @ features
        products += features.T @ wanted
        total, wanted_sum, count = total + float(wanted.square().sum()), wanted_sum + wanted.sum(0), count + len(wanted)
    variance = total - float(wanted_sum.square().sum()) / max(1, count)
    if not variance > 0:
        raise DataError(f"{count} clock steps of recordings to fit a stem to say one thing; give more recordings")
    ridge = _RIDGE * squares.diagonal().mean() * torch.eye(width, dtype=torch.float64, device=device)
    weights = torch.linalg.solve(squares + ridge, products)
    stem.out.weight.copy_(weights[:-1].T)
    stem.out.bias.copy_(weights[-1])
    stem.norm.load_state_dict(known.norm.state_dict())
    left = total - 2 * float((weights * products).sum()) + float((weights * (squares @ weights)).sum())
    return 1 - left / variance
