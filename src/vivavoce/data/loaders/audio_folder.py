"""A folder of recordings with transcripts, as dictation: one example a recording.

Where transcripts are looked for, first found wins: `metadata.csv` or `metadata.tsv` (columns file_name and
transcription or text), `metadata.jsonl` (the same keys), LibriSpeech's `*.trans.txt` (name, blank, text a line, at any
depth), or a `.txt` beside each recording.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vivavoce.content import Audio, Conversation, assistant, system, user
from vivavoce.data.answers import Answer, fold_text
from vivavoce.data.example import USER_RATE_HZ, Example, Split
from vivavoce.data.pools import WRITE_DOWN_SYSTEM
from vivavoce.errors import DataError
from vivavoce.media import read_audio, resample

_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
_TEXT_KEYS = ("transcription", "text", "transcript", "sentence")
MAX_RECORDING_S = 30.0
"""Longer recordings do not fit a training row; they are refused by name rather than cut."""


class Recording(NamedTuple):
    """One recording and what is said in it, as written; place: the line or file that says so."""

    place: str
    path: Path
    words: str


def list_recordings(folder: Path | str) -> list[Recording]:
    """The recordings of a folder, in the order of its transcripts; none is opened.

    Raises: DataError that names file and line for a line without words or recording, or a folder without transcripts.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name the folder that holds the recordings")
    return [Recording(*found) for found in _find_transcripts(folder)]


def read_recording(recording: Recording) -> Audio:
    """Its sound, mixed to mono and resampled to 16 kHz, with its words folded to lower case (`answers.fold_text`).

    Raises: DataError that names the line for a missing or broken recording, or an empty transcript.
    """
    text = fold_text(recording.words)
    if not text:
        raise DataError(
            f"{recording.place}: the transcript of {recording.path.name} is empty; write what is said, or leave the line out"
        )
    try:
        audio = resample(read_audio(recording.path, max_s=MAX_RECORDING_S), USER_RATE_HZ)
    except DataError as error:
        raise DataError(f"{recording.place}: {error}") from error
    return Audio(audio.samples, audio.rate_hz, text)


def make_dictation(recording: Recording, split: Split = "train") -> Example:
    """The recording in, its words in text out.

    Raises: as `read_recording`.
    """
    said = read_recording(recording)
    text = str(said.transcript)
    messages = Conversation((system(WRITE_DOWN_SYSTEM), user(said), assistant(text)))
    return Example(
        recording.path.as_posix(),
        "write_down",
        split,
        frozenset({"audio"}),
        frozenset({"text"}),
        messages,
        Answer("words", text),
    )


def load_audio_folder(folder: Path | str, split: Split = "train") -> Iterator[Example]:
    """Examples of a folder, in the order of its transcripts (`make_dictation`).

    Raises: as `list_recordings` and `read_recording`.
    """
    return (make_dictation(recording, split) for recording in list_recordings(folder))


def _find_transcripts(folder: Path) -> Iterator[tuple[str, Path, str]]:
    for name, delimiter in (("metadata.csv", ","), ("metadata.tsv", "\t")):
        if (folder / name).exists():
            return _read_table(folder / name, delimiter)
    if (folder / "metadata.jsonl").exists():
        return _read_json_lines(folder / "metadata.jsonl")
    if listings := sorted(folder.rglob("*.trans.txt")):
        return _read_listings(listings)
    recordings = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not recordings:
        raise DataError(f"{folder} holds no recordings; give {', '.join(_SUFFIXES)} files with transcripts")
    return _read_neighbours(recordings)


def _read_table(path: Path, delimiter: str) -> Iterator[tuple[str, Path, str]]:
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle, delimiter=delimiter)
        for row in reader:
            yield _read_row(path, reader.line_num, row)


def _read_json_lines(path: Path) -> Iterator[tuple[str, Path, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path} line {number} is not JSON ({error.msg}); write one object a line") from error
            yield _read_row(path, number, row if isinstance(row, dict) else {})


def _read_row(path: Path, number: int, row: dict) -> tuple[str, Path, str]:
    place = f"{path} line {number}"
    text = next((row[key] for key in _TEXT_KEYS if isinstance(row.get(key), str)), None)
    name = row.get("file_name")
    if not isinstance(name, str) or text is None:
        raise DataError(f"{place} has {sorted(map(str, row))}; need file_name and one of {', '.join(_TEXT_KEYS)}")
    return place, path.parent / name, text


def _read_listings(listings: list[Path]) -> Iterator[tuple[str, Path, str]]:
    for path in listings:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            name, _, text = line.partition(" ")
            found = [
                path.parent / f"{name}{suffix}" for suffix in _SUFFIXES if (path.parent / f"{name}{suffix}").exists()
            ]
            if not found:
                raise DataError(
                    f"{path} line {number}: no recording {name} with {', '.join(_SUFFIXES)}; add it, or drop the line"
                )
            yield f"{path} line {number}", found[0], text


def _read_neighbours(recordings: list[Path]) -> Iterator[tuple[str, Path, str]]:
    for path in recordings:
        beside = path.with_suffix(".txt")
        if not beside.exists():
            raise DataError(f"{path} has no transcript; write {beside.name} beside it, or a metadata.csv")
        yield str(beside), path, beside.read_text(encoding="utf-8")
