"""What a guard says, and what it looks at. Each guard is small, switchable and measured by `viva eval guards`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Where = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be heard or answered. score: as the guard measures it, more is worse."""

    guard: Literal["voice", "moderation", "identity"]
    where: Where
    category: str
    score: float


class TextGuard(Protocol):
    """A classifier of transcripts. Must be quick (under 1 ms) or be run behind `SessionGuards`' pool."""

    def judge(self, text: str, where: Where, question: str = "") -> Finding | None:
        """A finding in `text`, or None. question: the user's last words, when `text` is the model's."""
        ...


class SpeakerEncoder(Protocol):
    """A voice as a vector."""

    def embed(self, samples: np.ndarray, rate_hz: int) -> np.ndarray:
        """Unit vector [D] of the voice in [S] float32 samples."""
        ...
