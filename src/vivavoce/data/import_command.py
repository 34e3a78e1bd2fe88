"""`viva data import`: real recordings as renderings, for whatever learns to hear."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from vivavoce.data.example import USER_RATE_HZ
from vivavoce.data.loaders.audio_folder import Recording, list_recordings, read_recording
from vivavoce.data.voices.shards import write_part
from vivavoce.errors import ConfigError, DataError
from vivavoce.files import digest_json, write_json

_PART_ITEMS = 200


def import_recordings(
    folder: tyro.conf.Positional[Path],
    *,
    out: Path,
) -> None:
    """Read a folder of recordings with transcripts into renderings that `viva train ear` and `second-pass` learn from.

    A name `user...` inside the data folder (`--out runs/data/user-mine`) is found by itself; one that ends in -test is measured on and never
    learned from. Recordings of one folder are taken for one talker's. `viva train omni --real FOLDER` takes the folder as it is.

    Args:
        folder: of recordings with transcripts: metadata.csv or .jsonl, LibriSpeech's listings, or a .txt beside each.
        out: folder for the renderings; one that is there already is refused.
    """
    recordings = list_recordings(folder)
    if not recordings:
        raise DataError(f"{folder} lists no recordings; give at least one with its words")
    if out.exists():
        raise ConfigError(f"{out} is there already; name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    # the first fault stops it, and then nothing is there to be learned from
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        made = Path(temporary) / out.name
        for part, start in enumerate(range(0, len(recordings), _PART_ITEMS)):
            write_part(made, part, _read_items(folder, recordings[start : start + _PART_ITEMS]))
            print(f"{min(start + _PART_ITEMS, len(recordings))}/{len(recordings)} recordings read", flush=True)
        names = [(one.path.name, one.words) for one in recordings]
        write_json(made / "plan.json", {"digest": digest_json(names), "count": len(recordings)})
        made.replace(out)


def _read_items(folder: Path, recordings: Sequence[Recording]) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    for one in recordings:
        audio = read_recording(one)
        # a table may name recordings anywhere
        talker = Path(os.path.relpath(one.path.parent, folder)).as_posix()
        samples = np.round(np.clip(audio.samples, -1, 1) * 32767).astype(np.int16)
        yield samples, {"text": audio.transcript, "voice": f"recorded {talker}", "rate_hz": USER_RATE_HZ}
