"""Real data of any kind, mixed into the curriculum: an example in any order, read when it is due.

A folder is recordings with transcripts, a `.parquet` captioned pictures, of which each is described and drawn, a `.jsonl`
conversations. Nothing but names and places is kept in memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vivavoce.data.example import Example
from vivavoce.data.loaders.audio_folder import Recording, list_recordings, make_dictation
from vivavoce.data.loaders.caption_parquet import Captions
from vivavoce.data.loaders.chat_jsonl import Chats
from vivavoce.errors import ConfigError, DataError
from vivavoce.files import digest_file, digest_json


class _Source(NamedTuple):
    """count: examples; read: one of them; digest: of what decides them."""

    count: int
    read: Callable[[int], Example]
    digest: str


class RealData:
    """All examples of some folders and files as one sequence.

    Raises: ConfigError for a kind of file that is not known; DataError for what can't be read or holds nothing.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._sources = [_open(path) for path in paths]
        for path, source in zip(paths, self._sources):
            if not source.count:
                raise DataError(f"{path} holds no examples")
        self._ends = list(accumulate(source.count for source in self._sources))
        self.digest = digest_json([source.digest for source in self._sources])[:16]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, position: int) -> Example:
        """One example.

        Raises: DataError that names file and row if it is broken; IndexError.
        """
        if not 0 <= position < len(self):
            raise IndexError(position)
        number = bisect_right(self._ends, position)
        source = self._sources[number]
        return source.read(position - self._ends[number] + source.count)

    def mix_into(self, examples: Iterable[Example], share: float, generator: np.random.Generator) -> Iterator[Example]:
        """`examples`, of which about `share` have an example of these in their place."""
        for example in examples:
            is_real = generator.random() < share
            yield self[int(generator.integers(len(self)))] if is_real else example


def _open(path: Path) -> _Source:
    if path.is_dir():
        recordings = list_recordings(path)
        sizes = [(one.path.name, one.words, _size_of(one)) for one in recordings]
        return _Source(len(recordings), partial(_read_recording, recordings), digest_json(sizes))
    if path.suffix == ".parquet":
        captions = Captions(path)
        return _Source(2 * len(captions), partial(_read_caption, captions), digest_file(path))
    if path.suffix == ".jsonl":
        chats = Chats(path)
        return _Source(len(chats), chats.read, digest_file(path))
    raise ConfigError(f"{path} is no folder of recordings, .parquet of captions or .jsonl of conversations")


def _size_of(recording: Recording) -> int:
    return recording.path.stat().st_size if recording.path.exists() else 0


def _read_recording(recordings: Sequence[Recording], idx: int) -> Example:
    return make_dictation(recordings[idx])


def _read_caption(captions: Captions, idx: int) -> Example:
    row_idx, is_drawn = divmod(idx, 2)
    return captions.read(row_idx, direction="draw" if is_drawn else "describe")
