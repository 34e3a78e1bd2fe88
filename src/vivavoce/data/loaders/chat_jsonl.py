"""Conversations as JSON lines: `{"messages": [{"role": ..., "content": text or OpenAI parts}, ...]}`, one a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vivavoce.content import Audio, Conversation, Message, Part, Text
from vivavoce.content_formats import from_openai
from vivavoce.data.answers import Answer, fold_text
from vivavoce.data.example import USER_RATE_HZ, Example, Split, find_modalities
from vivavoce.errors import DataError
from vivavoce.media import resample

_ROLES = ("system", "user", "assistant", "tool")


class Chats:
    """The conversations of a file, to be read in any order: lines are found once, and read from the file when asked for.

    Raises: DataError if the file can't be read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lines: list[tuple[int, int]] = []
        start = 0
        try:
            with self.path.open("rb") as handle:
                for number, line in enumerate(handle, start=1):
                    if line.strip():
                        self._lines.append((number, start))
                    start += len(line)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}; name a file that exists") from error

    def __len__(self) -> int:
        return len(self._lines)

    def read(self, idx: int, split: Split = "train") -> Example:
        """One conversation; the last message must be the assistant's and is the answer.

        Texts are folded to the small world's letters (`answers.fold_text`), users' recordings resampled to 16 kHz. Media parts are data
        URIs, as OpenAI writes them.
        Raises: DataError that names file and line for bad JSON, an unknown role, a broken part, or no answer at the end; IndexError.
        """
        number, start = self._lines[idx]
        with self.path.open("rb") as handle:
            handle.seek(start)
            line = handle.readline()
        return _read_line(line, f"{self.path} line {number}", f"{self.path.stem}-{number}", split)


def load_chat(path: Path | str, split: Split = "train") -> Iterator[Example]:
    """Examples of a file, in line order (`Chats.read`).

    Raises: as `Chats`.
    """
    chats = Chats(path)
    return (chats.read(idx, split) for idx in range(len(chats)))


def _read_line(line: bytes, place: str, example_id: str, split: Split) -> Example:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{place} is not JSON ({error}); write one conversation a line") from error
    found = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(found, list) or len(found) < 2:
        raise DataError(f"{place} has no list `messages` of at least a question and an answer")
    messages = tuple(_read_message(message, f"{place} message {idx}") for idx, message in enumerate(found))
    if messages[-1].role != "assistant" or not messages[-1].parts:
        raise DataError(f"{place} ends with {messages[-1].role}; the last message must be the assistant's answer")
    asked = [message for message in messages if message.role == "user"]
    if not asked:
        raise DataError(f"{place} has no message of a user; need a question")
    answer = Answer("words", messages[-1].text) if messages[-1].text else Answer("picture")
    inputs, outputs = find_modalities(asked[-1]), find_modalities(messages[-1])
    return Example(example_id, "chat", split, inputs, outputs, Conversation(messages), answer)


def _read_message(message: Any, place: str) -> Message:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        raise DataError(f"{place} has no role of {', '.join(_ROLES)}")
    try:
        parsed = from_openai(message)
    except (DataError, TypeError, AttributeError, KeyError) as error:
        raise DataError(f"{place}: {error}") from error
    return Message(parsed.role, tuple(_fold(part) for part in parsed.parts))


def _fold(part: Part) -> Part:
    if isinstance(part, Text):
        return Text(fold_text(part.text))
    if isinstance(part, Audio):
        words = None if part.transcript is None else fold_text(part.transcript)
        return Audio(resample(part, USER_RATE_HZ).samples, USER_RATE_HZ, words)
    return part
