"""Captioned pictures in Parquet (columns `image` and `caption` or `text`), to be described or to be drawn.

`image` is a file's bytes, or a struct with `bytes`, as the Hugging Face hub stores it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vivavoce.content import Conversation, Image, assistant, user
from vivavoce.data.answers import Answer, fold_text
from vivavoce.data.example import Example, Split
from vivavoce.errors import DataError
from vivavoce.media import read_image

_CAPTION_KEYS = ("caption", "text")
_BATCH_ROWS = 64
DESCRIBE_PROMPT = "describe the picture."
DRAWN_SIDE_PIXELS = 64


def load_captions(
    path: Path | str, split: Split = "train", *, direction: Literal["describe", "draw"] = "describe"
) -> Iterator[Example]:
    """Examples of one Parquet file, in row order: picture in and caption out, or the other way round.

    Pictures to be drawn are cut to a square and scaled to 64 x 64, which is what the nano model draws.
    Raises: DataError that names file and row for a missing column, an undecodable picture or an empty caption.
    """
    path = Path(path)
    for row_idx, row in _read_rows(path):
        place = f"{path} row {row_idx}"
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
        yield Example(f"{path.stem}-{row_idx}", task, split, given, wanted, messages, answer, caption=said)


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        file = parquet.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is no Parquet file that can be read ({error})") from error
    names = file.schema_arrow.names
    kept = [name for name in ("image", *_CAPTION_KEYS) if name in names]
    if "image" not in kept or len(kept) < 2:
        raise DataError(f"{path} has columns {', '.join(names)}; need image and one of {', '.join(_CAPTION_KEYS)}")
    row_idx = 0
    for batch in file.iter_batches(_BATCH_ROWS, columns=kept):
        for row in batch.to_pylist():
            yield row_idx, row
            row_idx += 1


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
