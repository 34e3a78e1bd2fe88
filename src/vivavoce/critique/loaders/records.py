"""What every loader yields: passages with their questions, answers and critiques; and what it left out, and why.

Pure values; keys are made from content, so that a second import of the same file adds nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vivavoce.critique.spans import Span
from vivavoce.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedFlaw:
    """A flaw that an author put into an answer on purpose, and where."""

    text: str
    category: str | None = None
    severity: int | None = None
    answer_spans: tuple[Span, ...] = ()
    passage_spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingRecord:
    """One rater's value for the answer or critique that holds it."""

    rater: str
    scale: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CritiqueRecord:
    """A claimed flaw; `refinement` is the answer improved with it."""

    key: str
    author_kind: str
    author: str
    text: str
    category: str | None = None
    category_text: str | None = None
    severity: int | None = None
    answer_spans: tuple[Span, ...] = ()
    passage_spans: tuple[Span, ...] = ()
    is_valid: bool | None = None
    is_helpful: bool | None = None
    rank: int | None = None
    refinement: str | None = None
    ratings: tuple[RatingRecord, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRecord:
    """An answer; `parent_key` names the answer it was edited from (earlier in the same question)."""

    key: str
    author_kind: str
    author: str
    text: str
    parent_key: str | None = None
    planted_flaws: tuple[PlantedFlaw, ...] = ()
    is_correct: bool | None = None
    critiques: tuple[CritiqueRecord, ...] = ()
    ratings: tuple[RatingRecord, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    modality: str = "text"
    media_path: str | None = None
    media_digest: str | None = None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionRecord:
    """A question and its answers."""

    key: str
    text: str
    is_topic_based: bool = False
    answers: tuple[AnswerRecord, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageRecord:
    """A passage and its questions. `place` says where in the source it stood (`train.jsonl.gz:17`)."""

    key: str
    source: str
    text: str
    split: str
    title: str | None = None
    questions: tuple[QuestionRecord, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""


@dataclass(slots=True)
class LoadNotes:
    """What a loader saw besides records: refused rows by place, and tolerated oddities by count."""

    refused: list[tuple[str, str]] = field(default_factory=list)
    """(place, reason)"""
    oddities: dict[str, int] = field(default_factory=dict)

    def refuse(self, place: str, reason: str) -> None:
        """Note a row that could not be read."""
        self.refused.append((place, reason))

    def count(self, oddity: str) -> None:
        """Count an oddity that was tolerated."""
        self.oddities[oddity] = self.oddities.get(oddity, 0) + 1


def make_key(*parts: str) -> str:
    """A short stable key: the first part in clear, a digest of all."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
    return f"{parts[0]}:{digest[:20]}"


# chosen: 60 / 20 / 20, so that small sets keep enough documents to test on
_SHARES = (("train", 0.6), ("validation", 0.8), ("test", 1.0))


def split_by_text(text: str) -> str:
    """A split drawn from the text itself, so that equal passages agree whatever file they stand in."""
    from vivavoce.critique.texts import digest_text

    position = int(digest_text(text)[:8], 16) / 16**8
    return next(name for name, upper in _SHARES if position < upper)


def read_json_lines(path: Path, notes: LoadNotes) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of each line of a .jsonl or .jsonl.gz file; broken lines are refused by number and skipped.

    Raises: DataError if the file is missing, or is cut short inside its compression.
    """
    if not path.is_file():
        raise DataError(f"no file {path}; name the folder that holds it")
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8") as handle:
            for number, line in enumerate(handle, 1):
                if not line.strip():
                    continue
                place = f"{path.name}:{number}"
                try:
                    value = json.loads(line)
                except json.JSONDecodeError as error:
                    notes.refuse(place, f"not JSON: {error.msg} at character {error.pos}")
                    continue
                if isinstance(value, dict):
                    yield place, value
                else:
                    notes.refuse(place, f"is {type(value).__name__}; need an object")
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} breaks off after line {number}: {error}; get the file again") from error


def read_json_rows(path: Path, notes: LoadNotes) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of each element of a JSON array file.

    Raises: DataError if the file is missing or not a JSON array.
    """
    if not path.is_file():
        raise DataError(f"no file {path}; name the folder that holds it")
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not JSON: {error}; get the file again") from error
    if not isinstance(rows, list):
        raise DataError(f"{path.name} holds {type(rows).__name__}; need an array")
    for number, row in enumerate(rows):
        if isinstance(row, dict):
            yield f"{path.name}[{number}]", row
        else:
            notes.refuse(f"{path.name}[{number}]", f"is {type(row).__name__}; need an object")


def text_of(row: Mapping[str, Any], name: str) -> str:
    """A non-empty text field. Raises: DataError naming the field."""
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"field {name} is {value!r:.60}; need a text")
    return value


def require_texts(row: Mapping[str, Any], *names: str) -> None:
    """Refuse a row in which one of these fields is no text. Raises: DataError naming the field."""
    for name in names:
        text_of(row, name)
