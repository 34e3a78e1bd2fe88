"""Transcripts with mistakes, as a trunk has to read them: what is written of a recording in another voice and in noise.

Of voices that it was trained on a recogniser mishears little, and the trunk meets others. So each recording is heard in a changed voice and
in a room, once, and what is written then stands in some rows for what was said (`rows.MISHEARD_SHARE`): by the ear alone, or by ear,
second pass and language model of a checkpoint, whose mistakes are words that people say.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch

from vivavoce.data.voices.shards import Item
from vivavoce.omni.configuration import MEL_BINS, MEL_FRAMES_PER_STEP
from vivavoce.omni.engine.generation import make_transcriber
from vivavoce.omni.engine.torch_backend import find_language
from vivavoce.omni.engine.transcriber import HeardAgain
from vivavoce.omni.layout import MEL_FLOOR
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.training.ear import Ear, align, place_on_clock, stack_mels
from vivavoce.omni.training.noise import change_voice, draw_room, draw_voice_change, put_in_room
from vivavoce.omni.training.rows import Misheard
from vivavoce.omni.vocabulary import BLANK, Vocabulary

_LEAD_STEPS = 6
"""Of the room alone, before a recording."""
_NUM_CHANGES = 3
"""Changes of the voice, one upon the other: one alone stays within what ear and second pass have learned with. chosen: a third of
questions have a word wrong then, as in voices that nobody has learned (experiments/LOG.md)."""


class Writer(Protocol):
    """What writes down recordings; num_changes: of the voice that it hears."""

    num_changes: int

    def write(self, mels: Sequence[np.ndarray]) -> Iterator[Misheard | None]:
        """The transcript of each mel [8 T, 80]; None where its words can't be placed."""
        ...


def mishear(writer: Writer, items: Sequence[Item]) -> Iterator[Misheard | None]:
    """What `writer` makes of recordings, frames counted from the start of each; None where it can't be placed. The same each time."""
    for found in writer.write([_spoil(item, writer.num_changes) for item in items]):
        if found is not None:
            found = Misheard(found.ids, np.maximum(found.ends - _LEAD_STEPS * MEL_FRAMES_PER_STEP, 0))
        yield found


def _spoil(item: Item, num_changes: int) -> np.ndarray:
    generator = np.random.default_rng(zlib.crc32(f"{item.about['text']} {item.about['voice']}".encode()))
    mel = item.array.astype(np.float32)
    for _ in range(num_changes):
        mel = change_voice(mel, draw_voice_change(generator)._replace(pace=1.0))
    lead = np.full((_LEAD_STEPS * MEL_FRAMES_PER_STEP, MEL_BINS), MEL_FLOOR, np.float32)
    return put_in_room(place_on_clock(np.concatenate([lead, mel])), draw_room(generator), generator)


class EarAlone:
    """The ear's likeliest path, no search."""

    num_changes = 1

    def __init__(self, ear: Ear) -> None:
        self._ear = ear.eval()

    @torch.no_grad()
    def write(self, mels: Sequence[np.ndarray]) -> Iterator[Misheard | None]:
        """As `Writer.write`."""
        device = next(self._ear.parameters()).device
        said = self._ear(stack_mels(mels).to(device)).argmax(-1).cpu().numpy()
        for path, mel in zip(said, mels):
            path = path[: len(mel) // MEL_FRAMES_PER_STEP]
            # a word is what a run of steps says; it is over with its last
            ends = np.flatnonzero(path != np.append(path[1:], BLANK))
            ends = ends[path[ends] != BLANK]
            yield Misheard(path[ends].astype(np.int64), (ends + 1) * MEL_FRAMES_PER_STEP - 1)


class BothPasses:
    """What a checkpoint's engine reads when it takes its turn: of ear and second pass what both find likeliest."""

    num_changes = _NUM_CHANGES

    def __init__(self, model: OmniForConversation, vocabulary: Vocabulary) -> None:
        self._model = model.eval().float()
        self._transcriber = make_transcriber(find_language(self._model), vocabulary)

    @torch.no_grad()
    def write(self, mels: Sequence[np.ndarray]) -> Iterator[Misheard | None]:
        """As `Writer.write`."""
        for mel in mels:
            # one by one: the second pass would hear what fills a batch up, and most of the time goes to the search
            first, second = (said[0].cpu().numpy() for said in self._model.hear_again(torch.from_numpy(mel)[None]))
            ids = self._transcriber.write(HeardAgain(first, second))
            ends = align(first[None], [len(first)], [ids])[0]
            yield None if ends is None else Misheard(np.array(ids, np.int64), (ends + 1) * MEL_FRAMES_PER_STEP - 1)
