"""Batches of whole utterances for the codec's first phase, of about equal sound, in an order that (seed, step) fixes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vivavoce.data.voices.shards import Shards
from vivavoce.errors import DataError
from vivavoce.omni.codec.config import CODEC_MEL, HOPS_PER_FRAME
from vivavoce.omni.codec.features import phone_ids
from vivavoce.omni.training.loop import step_generator

SILENCE = (float(np.log(CODEC_MEL.floor)) - CODEC_MEL.mean) / CODEC_MEL.scale
_EXTRA_FRAMES = 3


class UtteranceBatch(NamedTuple):
    """mel [B, N, 100]; pitch, weight of pitch, weight of mel [B, N]; phones [B, P] padded with 0, and their numbers."""

    mel: Tensor
    pitch: Tensor
    pitch_weight: Tensor
    mel_weight: Tensor
    phones: Tensor
    num_phones: Tensor


class UtteranceBatches:
    """All utterances of a features folder, in memory, cut into batches of at most `frames` frames with padding.

    Raises: DataError if one utterance alone is longer.
    """

    def __init__(self, folder: Path | str, frames: int, seed: int) -> None:
        shards = Shards(folder)
        self._columns = [np.array(shards[number].array) for number in range(len(shards))]
        self._phones = [phone_ids(shards.about(number)["phonemes"]) for number in range(len(shards))]
        self._seed = seed
        # room for silence at both ends
        lengths = [len(columns) // HOPS_PER_FRAME + 2 * _EXTRA_FRAMES for columns in self._columns]
        if max(lengths) > frames:
            raise DataError(f"an utterance has {max(lengths)} frames; a batch holds {frames}; raise batch_frames")
        self._batches: list[list[int]] = [[]]
        for number in sorted(range(len(lengths)), key=lambda number: (lengths[number], number)):
            if lengths[number] * (len(self._batches[-1]) + 1) > frames:
                self._batches.append([])
            self._batches[-1].append(number)

    def __len__(self) -> int:
        """Batches of one epoch."""
        return len(self._batches)

    def at(self, step: int) -> UtteranceBatch:
        """The batch of one step."""
        epoch, place = divmod(step, len(self._batches))
        order = torch.randperm(len(self._batches), generator=step_generator(self._seed, epoch, "order"))
        members = self._batches[int(order[place])]
        generator = step_generator(self._seed, step)
        span = HOPS_PER_FRAME * _EXTRA_FRAMES
        starts = torch.randint(0, span, (len(members),), generator=generator).tolist()
        longest = max(len(self._columns[number]) for number in members) + 2 * span
        return self._collate(members, starts, longest)

    def _collate(self, members: list[int], starts: list[int], num_hops: int) -> UtteranceBatch:
        columns = np.zeros((len(members), num_hops, CODEC_MEL.num_bins + 2), np.float32)
        columns[..., : CODEC_MEL.num_bins] = SILENCE
        mel_weight = np.full((len(members), num_hops), 0.1, np.float32)
        for row, (number, start) in enumerate(zip(members, starts)):
            stop = start + len(self._columns[number])
            columns[row, start:stop] = self._columns[number]
            mel_weight[row, start:stop] = 1.0
        values = torch.from_numpy(columns)
        phones = [self._phones[number] for number in members]
        table = torch.zeros(len(members), max(1, max(map(len, phones))), dtype=torch.long)
        for row, ids in enumerate(phones):
            table[row, : len(ids)] = torch.tensor(ids)
        return UtteranceBatch(
            mel=values[..., : CODEC_MEL.num_bins],
            pitch=values[..., CODEC_MEL.num_bins],
            # chosen: between voiced stretches the pitch is made up, so it counts little
            pitch_weight=values[..., CODEC_MEL.num_bins + 1] + 0.02 * torch.from_numpy(mel_weight),
            mel_weight=torch.from_numpy(mel_weight),
            phones=table,
            num_phones=torch.tensor([len(ids) for ids in phones]),
        )
