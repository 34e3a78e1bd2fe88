"""Rows of steps as one batch of tensors: laid end to end, with the places of everything in it worked out beforehand.

Places are counted here, on the CPU and mostly in worker processes, and not found by masks in the network: on a GPU a mask
makes the host wait for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vivavoce.omni.packing import PackedRows, pack_rows
from vivavoce.omni.steps import CLOCK, FRAME_PATCH, PATCH, SPEAK, STAY, TOKEN, Steps


@dataclass(frozen=True, slots=True)
class StepBatch:
    """B rows laid end to end in S positions, C of them clock steps, in the order of the rows.

    `rows` says where the rows lie among the S positions, `clocks` where among the C clock steps (rows without any are left
    out). ids [S] are 0 where a position is no token. `clock_places` [C], `patch_places`, `frame_places`: the positions of
    clock steps and of picture and film patches; `said_places` [C] those that the words and codes of clock steps are predicted at. `target_places` [T] are the positions that have something to predict,
    `targets` and `target_weights` [T] what and how much; `voiced_places` [V] are the clock steps with codes to be learned.
    Streams of the clock are [C] (`Steps` names them), mel [C, 8, 80], codes [C, K]; `is_first` [C] marks each row's first
    clock step, `is_speaking` [C] is the state before each. Patches of all rows follow one another: [all pictures, 64, 192].
    """

    rows: PackedRows
    clocks: PackedRows
    ids: Tensor
    clock_places: Tensor
    said_places: Tensor
    patch_places: Tensor
    frame_places: Tensor
    target_places: Tensor
    targets: Tensor
    target_weights: Tensor
    voiced_places: Tensor
    patches: Tensor
    frame_patches: Tensor
    mel: Tensor
    is_muted: Tensor
    is_first: Tensor
    is_speaking: Tensor
    turn: Tensor
    text: Tensor
    heard: Tensor
    codes: Tensor
    codes_read: Tensor
    turn_weights: Tensor
    text_weights: Tensor
    code_weights: Tensor

    @property
    def num_positions(self) -> int:
        """S."""
        return len(self.ids)

    def to(self, device: torch.device | str) -> StepBatch:
        """All tensors on `device`."""
        return self._change(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> StepBatch:
        """All tensors where a GPU can fetch them by itself."""
        return self._change(Tensor.pin_memory)

    def _change(self, change: Callable[[Tensor], Tensor]) -> StepBatch:
        changed: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            changed[item.name] = value.change(change) if isinstance(value, PackedRows) else change(value)
        return StepBatch(**changed)


_CLOCK_STREAMS = (
    "mel",
    "is_muted",
    "turn",
    "text",
    "heard",
    "codes",
    "codes_read",
    "turn_weights",
    "text_weights",
    "code_weights",
)


def collate(rows: list[Steps]) -> StepBatch:
    """Rows laid end to end, in their order."""

    def join(name: str) -> np.ndarray:
        return np.concatenate([getattr(row, name) for row in rows])

    kinds, target_weights, code_weights = join("kinds"), join("target_weights"), join("code_weights")
    target_places = np.flatnonzero(target_weights > 0)
    num_clocks = [len(row.turn) for row in rows]
    is_first = np.zeros(sum(num_clocks), bool)
    is_first[[start for start, count in zip(np.cumsum([0, *num_clocks]), num_clocks) if count]] = True
    row_starts = np.cumsum([0, *(len(row) for row in rows[:-1])])
    arrays = {
        "ids": np.where(kinds == TOKEN, join("ids"), 0),
        "clock_places": np.flatnonzero(kinds == CLOCK),
        "said_places": np.concatenate([row.said_from + start for row, start in zip(rows, row_starts)]),
        "patch_places": np.flatnonzero(kinds == PATCH),
        "frame_places": np.flatnonzero(kinds == FRAME_PATCH),
        "target_places": target_places,
        "targets": join("targets")[target_places],
        "target_weights": target_weights[target_places],
        "voiced_places": np.flatnonzero(code_weights > 0),
        "patches": join("patches"),
        "frame_patches": join("frame_patches"),
        "is_first": is_first,
        "is_speaking": np.concatenate([track_speaking(row.turn) for row in rows]),
        **{name: join(name) for name in _CLOCK_STREAMS},
    }
    return StepBatch(
        rows=pack_rows([len(row) for row in rows]),
        clocks=pack_rows([count for count in num_clocks if count]),
        **{name: torch.from_numpy(array) for name, array in arrays.items()},
    )


def track_speaking(turn: np.ndarray) -> np.ndarray:
    """Whether the model speaks *before* each clock step, from its turn stream [N]; it starts silent."""
    if not len(turn):
        return np.zeros(0, bool)
    events = np.concatenate([[STAY], turn[:-1]])
    last = np.maximum.accumulate(np.where(events != STAY, np.arange(len(events)), -1))
    return (last >= 0) & (events[last] == SPEAK)
