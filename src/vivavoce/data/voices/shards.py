"""Many arrays of one kind on disk: renderings as int16 samples, or mels as float16.

    part-0000.npy     the items' arrays, joined along the first axis
    part-0000.jsonl   one line an item: start, length and what the writer said of it

A part is whole or absent, and its jsonl is written last, so that a writer that was killed goes on at the first part
that is missing, and several writers can share a folder when each writes its own parts.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vivavoce.errors import DataError
from vivavoce.files import write_bytes, write_whole


class Item(NamedTuple):
    """One array and what its writer said of it. array: [length, ...], a view of the file."""

    array: np.ndarray
    about: dict[str, Any]


def has_part(folder: Path, number: int) -> bool:
    """True if the part is there, whole."""
    return (folder / f"part-{number:04d}.jsonl").exists()


def write_part(folder: Path, number: int, items: Iterable[tuple[np.ndarray, dict[str, Any]]]) -> None:
    """Write one part. All arrays share dtype and trailing shape.

    Raises: DataError if there are no items.
    """
    arrays, lines, start = [], [], 0
    for array, about in items:
        arrays.append(array)
        lines.append(json.dumps({"start": start, "length": len(array), **about}, ensure_ascii=False))
        start += len(array)
    if not arrays:
        raise DataError(f"part {number} of {folder} has no items; need at least one")
    with write_whole(folder / f"part-{number:04d}.npy") as temporary:
        np.save(temporary, np.concatenate(arrays))
    write_bytes(folder / f"part-{number:04d}.jsonl", ("\n".join(lines) + "\n").encode())


class Shards:
    """All whole parts of a folder as one read-only sequence of `Item`.

    Raises: DataError if there are none.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._arrays: list[np.ndarray] = []
        self._about: list[list[dict[str, Any]]] = []
        self._first: list[int] = []
        count = 0
        for index_path in sorted(self.folder.glob("part-*.jsonl")):
            about = [json.loads(line) for line in index_path.read_text().splitlines()]
            self._arrays.append(np.load(index_path.with_suffix(".npy"), mmap_mode="r"))
            self._about.append(about)
            self._first.append(count)
            count += len(about)
        self._count = count
        if not count:
            raise DataError(f"{self.folder} holds no parts; render some first (viva data render)")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> Item:
        if not 0 <= position < self._count:
            raise IndexError(position)
        part = bisect_right(self._first, position) - 1
        about = self._about[part][position - self._first[part]]
        start = about["start"]
        return Item(self._arrays[part][start : start + about["length"]], about)

    def about(self, position: int) -> dict[str, Any]:
        """What the writer said of one item, without touching its array."""
        part = bisect_right(self._first, position) - 1
        return self._about[part][position - self._first[part]]
