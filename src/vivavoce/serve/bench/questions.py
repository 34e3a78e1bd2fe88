"""The recorded questions that ship with the package, or a folder of someone's own recordings."""

from __future__ import annotations

import base64
import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np

from vivavoce.content import Audio
from vivavoce.errors import DataError
from vivavoce.media import read_audio, resample
from vivavoce.serve.bench.conversation import Question
from vivavoce.serve.bench.listening import RATE_HZ
from vivavoce.serve.scripted_engine import make_tone


@cache
def load_questions(kind: Literal["question", "interruption"] = "question") -> tuple[Question, ...]:
    """Recordings of `recipes/serve_questions.py`, at 24 kHz."""
    text = resources.files("vivavoce.serve.bench").joinpath("questions.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    return tuple(
        Question(f"{row['voice']}: {row['text']}", _decode(base64.b64decode(row["opus"])), row["text"])
        for row in rows
        if row["kind"] == kind
    )


def find_question(text: str) -> Question:
    """The recording that ships of this question, the first if there are several. Raises: KeyError if there is none."""
    for question in load_questions():
        if question.text == text:
            return question
    raise KeyError(text)


def read_questions(folder: Path) -> tuple[Question, ...]:
    """All recordings of a folder. Raises: DataError if there are none."""
    suffixes = {".wav", ".flac", ".ogg", ".opus", ".mp3"}
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in suffixes)
    if not paths:
        raise DataError(f"{folder} holds no recordings; need files of {', '.join(sorted(suffixes))}")
    return tuple(Question(path.name, _decode(path.read_bytes())) for path in paths)


def make_tones() -> tuple[Question, ...]:
    """Questions for the scripted engine, which hears loudness only: tones of 0.6 to 1.6 s."""
    silence = np.zeros(RATE_HZ // 5, np.float32)
    lengths_s = (0.6, 0.83, 1.0, 1.17, 1.4, 1.6)
    return tuple(
        Question(f"tone of {seconds} s", np.concatenate([silence, make_tone(300.0, 0, int(seconds * RATE_HZ))]))
        for seconds in lengths_s
    )


def _decode(data: bytes) -> np.ndarray:
    audio: Audio = resample(read_audio(data), RATE_HZ)
    return audio.samples
