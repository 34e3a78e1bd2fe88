"""Conversations as JSON lines: `{"messages": [{"role": ..., "content": text or OpenAI parts}, ...]}`, one a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vivavoce.content import Audio, Conversation, Message, Text
from vivavoce.content_formats import from_openai
from vivavoce.data.answers import Answer, fold_text
from vivavoce.data.example import Example, Split, find_modalities
from vivavoce.errors import DataError

_ROLES = ("system", "user", "assistant", "tool")


def load_chat(path: Path | str, split: Split = "train") -> Iterator[Example]:
    """Examples of a file, in line order; the last message must be the assistant's and is the answer.

    Texts are folded to the small world's letters (`answers.fold_text`). Media parts are data URIs, as OpenAI writes them.
    Raises: DataError that names file and line for bad JSON, an unknown role, a broken part, or no answer at the end.
    """
    path = Path(path)
    try:
        handle = path.open(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; name a file that exists") from error
    with handle:
        for number, line in enumerate(handle, start=1):
            if line.strip():
                yield _read_line(line, f"{path} line {number}", f"{path.stem}-{number}", split)


def _read_line(line: str, place: str, example_id: str, split: Split) -> Example:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place} is not JSON ({error.msg}); write one conversation a line") from error
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


def _fold(part):
    if isinstance(part, Text):
        return Text(fold_text(part.text))
    if isinstance(part, Audio) and part.transcript:
        return Audio(part.samples, part.rate_hz, fold_text(part.transcript))
    return part
