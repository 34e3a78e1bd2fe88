"""Attention over rows laid end to end, so that training computes no padding.

All layers but attention treat positions one by one, so rows of any length are one long sequence to them. Attention
gathers rows of like length, pads those few, and puts the result back. On a CPU this is also quicker than the fused
kernel, which is slow for rows of a hundred steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig

_NAME = "vivavoce_packed"
_LIKE_LENGTH = 1.3
"""Rows whose lengths differ by less than this factor are padded to one length. chosen: 13% padding on average, and a dozen
groups: on a GPU each is several launches a layer."""


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Where rows lie in a packed sequence of S positions.

    `position_ids` [1, S] count within each row. Each of `groups` [R, M] holds the places of R rows of at most M steps;
    what is past a row's end repeats its first place. `back` [S] finds each position in the groups laid end to end.
    """

    position_ids: Tensor
    groups: tuple[Tensor, ...]
    back: Tensor

    def change(self, change: Callable[[Tensor], Tensor]) -> PackedRows:
        """The same with every tensor changed."""
        return PackedRows(change(self.position_ids), tuple(map(change, self.groups)), change(self.back))


def pack_rows(lengths: Sequence[int]) -> PackedRows:
    """Places of rows of these lengths, each at least 1, laid end to end in this order."""
    counts = np.asarray(lengths, np.int64)
    starts = counts.cumsum() - counts
    order = counts.argsort(kind="stable")
    back = np.empty(int(counts.sum()), np.int64)
    groups: list[Tensor] = []
    offset = first = 0
    while first < len(order):
        bound = counts[order[first]] * _LIKE_LENGTH + 4
        stop = int(np.searchsorted(counts[order], bound, "right"))
        members = order[first:stop]
        steps = np.arange(int(counts[members[-1]]))
        is_real = steps < counts[members, None]
        places = starts[members, None] + steps * is_real
        back[places[is_real]] = offset + np.flatnonzero(is_real)
        groups.append(torch.from_numpy(places))
        offset, first = offset + is_real.size, stop
    position_ids = np.arange(len(back)) - np.repeat(starts, counts)
    return PackedRows(torch.from_numpy(position_ids)[None], tuple(groups), torch.from_numpy(back))


@contextmanager
def packed_attention(config: PretrainedConfig) -> Iterator[None]:
    """Within it, a model of `config` attends by `packed_rows`, which its forward must then be given."""
    before = config._attn_implementation
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed_rows: PackedRows,
    scaling: float,
    **_: object,
) -> tuple[Tensor, None]:
    """Causal attention within each row. query [1, H, S, D], key and value [1, K, S, D]; result [1, S, H, D]."""
    heads, size = query.shape[1], query.shape[-1]
    shared = key.shape[1]
    by_place = [tensor[0].transpose(0, 1) for tensor in (query * scaling, key, value)]
    outputs = []
    for places in packed_rows.groups:
        rows, steps = places.shape
        flat = places.flatten()
        q, k, v = (
            tensor.index_select(0, flat).view(rows, steps, -1, size).transpose(1, 2).reshape(rows * shared, -1, size)
            for tensor in by_place
        )
        scores = torch.bmm(q, k.transpose(1, 2)).view(rows, heads, steps, steps)
        is_later = torch.ones(steps, steps, dtype=torch.bool, device=places.device).triu(1)
        share = scores.masked_fill(is_later, -torch.inf).softmax(-1).to(v.dtype)
        mixed = torch.bmm(share.view(rows * shared, -1, steps), v).view(rows, heads, steps, size)
        outputs.append(mixed.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs).index_select(0, packed_rows.back)[None], None


def _no_mask(*_: object, **__: object) -> None:
    """Which rows and steps see which is the attention's own affair."""


AttentionInterface.register(_NAME, _attend)
AttentionMaskInterface.register(_NAME, _no_mask)
