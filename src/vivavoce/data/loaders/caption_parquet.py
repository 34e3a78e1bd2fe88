"""Captioned pictures in Parquet (columns `image` and `caption` or `text`), to be described or to be drawn.

`image` is a file's bytes, or a struct with `bytes`, as the Hugging Face hub stores it.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vivavoce.content import Conversation, Image, assistant, user
from vivavoce.data.answers import Answer, fold_text
from vivavoce.data.example import Example, Split
from vivavoce.errors import DataError
from vivavoce.media import read_image

_CAPTION_KEYS = ("caption", "text")
DESCRIBE_PROMPT = "describe the picture."
DRAWN_SIDE_PIXELS = 64


Direction = Literal["describe", "draw"]


class Captions:
    """The rows of one Parquet file, to be read in any order: `read` opens the file anew, so that processes can share this.

    Raises: DataError if the file can't be read or lacks a column.
    """

    def __init__(self, path: Path | str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        self.path = Path(path)
        try:
            file = parquet.ParquetFile(self.path)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} is no Parquet file that can be read ({error})") from error
        names = file.schema_arrow.names
        kept = tuple(name for name in ("image", *_CAPTION_KEYS) if name in names)
        if "image" not in kept or len(kept) < 2:
            raise DataError(f"{path} has columns {', '.join(names)}; need image and one of {', '.join(_CAPTION_KEYS)}")
        self._columns = kept
        sizes = [file.metadata.row_group(idx).num_rows for idx in range(file.metadata.num_row_groups)]
        self._ends = list(itertools.accumulate(sizes))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def read(self, row_idx: int, split: Split = "train", *, direction: Direction = "describe") -> Example:
        """One row as an example: picture in and caption out, or the other way round.

        Pictures to be drawn are cut to a square and scaled to 64 x 64, which is what the nano model draws.
        Raises: DataError that names file and row for an undecodable picture or an empty caption; IndexError.
        """
        if not 0 <= row_idx < len(self):
            raise IndexError(row_idx)
        group = bisect_right(self._ends, row_idx)
        rows = _read_group(self.path, group, self._columns)
        row, place = rows[row_idx - self._ends[group]], f"{self.path} row {row_idx}"
        caption = fold_text(str(next((row[key] for key in _CAPTION_KEYS if row.get(key)), "")))
        if not caption:
            raise DataError(f"{place} has an empty caption; fill it, or leave the row out")
        image = _read_cell(row["image"], place)
        if direction == "describe":
            messages = Conversation((user(image, DESCRIBE_PROMPT), assistant(caption)))
            given, wanted = frozenset({"text", "image"}), frozenset({"text"})
        else:
            messages = Conversation((user(f"draw {caption}"), assistant(_fit(image))))
            given, wanted = frozenset({"text"}), frozenset({"image"})
        answer = Answer("words" if direction == "describe" else "picture", caption)
        task, said = f"caption_{direction}", caption if direction == "draw" else ""
        name = f"{self.path.stem}-{row_idx}"
        return Example(name, task, split, given, wanted, messages, answer, caption=said)


def load_captions(path: Path | str, split: Split = "train", *, direction: Direction = "describe") -> Iterator[Example]:
    """Examples of one Parquet file, in row order (`Captions.read`).

    Raises: as `Captions`.
    """
    captions = Captions(path)
    return (captions.read(row_idx, split, direction=direction) for row_idx in range(len(captions)))


@lru_cache(maxsize=2)
def _read_group(path: Path, group: int, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    import pyarrow.parquet as parquet

    return parquet.ParquetFile(path).read_row_group(group, columns=list(columns)).to_pylist()


def _read_cell(cell: Any, place: str) -> Image:
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes):
        raise DataError(f"{place}: image holds {type(cell).__name__} without bytes; store the file's bytes in it")
    try:
        return read_image(data)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error


def _fit(image: Image) -> Image:
    from PIL import Image as Pillow
    from PIL import ImageOps

    side = DRAWN_SIDE_PIXELS
    return Image(np.asarray(ImageOps.fit(Pillow.fromarray(image.pixels), (side, side))).copy())
