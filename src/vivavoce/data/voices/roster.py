"""Which voices there are, and which one `any_voice` means for a text."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from vivavoce.errors import ConfigError

Engine = Literal["hibari", "flite", "espeak", "festival", "piper", "kokoro", "tone"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """A row of voices.yaml; its head explains the fields."""

    name: str
    engine: Engine
    voice: str
    split: Literal["preset", "train", "test", "none"]
    share: float
    about: str
    semitones: float = 0.0
    pace: float = 1.0


@functools.cache
def load_roster() -> Mapping[str, Voice]:
    """All voices by name, in the file's order.

    Raises: ConfigError if a row has an unknown or missing field.
    """
    rows = yaml.safe_load((Path(__file__).parent / "voices.yaml").read_text())
    try:
        return {name: Voice(name=name, **row) for name, row in rows.items()}
    except TypeError as error:
        raise ConfigError(f"voices.yaml: {error}") from error


def list_voices(split: str) -> list[Voice]:
    """The voices of a split, in the file's order."""
    return [voice for voice in load_roster().values() if voice.split == split]


def resolve_voice(name: str, text: str) -> Voice:
    """The voice of that name; `any-<split>-<take>` is chosen by the text and the take, by the voices' shares.

    Takes 0, 1, 2... of one text are different voices as long as there are any left.
    Raises: ConfigError if there is no such voice.
    """
    roster = load_roster()
    if name in roster:
        return roster[name]
    match = re.fullmatch(r"any-(train|test)-(\d+)", name)
    if not match:
        raise ConfigError(f"no voice {name!r}; there are {', '.join(roster)}, any-train-N and any-test-N")
    left = list_voices(match[1])
    take = int(match[2]) % len(left)
    chosen = left[0]
    for number in range(take + 1):
        chosen = _draw(left, f"{number} {text}")
        left.remove(chosen)
    return chosen


def _draw(voices: list[Voice], key: str) -> Voice:
    point = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    point *= sum(voice.share for voice in voices)
    for voice in voices:
        point -= voice.share
        if point < 0:
            return voice
    return voices[-1]
