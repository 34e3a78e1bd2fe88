"""Weights in eight bits: what the two tokenizers of a checkpoint are kept as, half as large as in bfloat16.

Matrices and convolutions are rounded row by row, a row being all that makes one output; vectors stay as they are. The scale of `x` is the
tensor `x.scale` beside it. Rounded again, they do not change.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_SCALE = ".scale"
_MOST = 127


def round_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors to be stored: int8 with float32 scales [rows], and vectors in bfloat16."""
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim < 2:
            stored[name] = tensor.detach().to(torch.bfloat16).contiguous()
            continue
        rows = tensor.detach().float().flatten(1)
        # a row of zeros stays one
        scale = (rows.abs().amax(1) / _MOST).clamp_min(torch.finfo(torch.float32).tiny)
        stored[name] = (rows / scale[:, None]).round().to(torch.int8).view(tensor.shape).contiguous()
        stored[name + _SCALE] = scale
    return stored


def restore_weights(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All in float32, from whatever they were stored in. A scale without its tensor, or the other way about, is left as it is."""
    state: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        scale = stored.get(name + _SCALE)
        if tensor.dtype == torch.int8 and scale is not None:
            state[name] = (tensor.float().flatten(1) * scale[:, None]).view(tensor.shape)
        elif not (name.endswith(_SCALE) and stored.get(name.removesuffix(_SCALE), tensor).dtype == torch.int8):
            state[name] = tensor.float()
    return state
