"""Cutting the model's context to what was heard: which steps to go back, and what the user said meanwhile. Pure."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from vivavoce.content import Message

KEPT_STEPS = 375
"""30 s of clock steps can be taken back; before that the context is rebuilt from the record."""


class Fed(NamedTuple):
    """What the slot was given in one clock step."""

    frame_idx: int
    user_pcm: np.ndarray | None
    inserts: tuple[Message, ...]


class Reopen(NamedTuple):
    """Start the slot anew with this system text."""

    system: str


class Rewind(NamedTuple):
    """Return the slot to just before this clock step."""

    frame_idx: int


Operation = Reopen | Rewind


class StepLog:
    """The last steps of a slot, so that after going back the user's part can be heard again."""

    def __init__(self) -> None:
        self._steps: deque[Fed] = deque(maxlen=KEPT_STEPS)

    def note(self, step: Fed) -> None:
        """Remember one step."""
        self._steps.append(step)

    def clear(self) -> None:
        """The slot was started anew."""
        self._steps.clear()

    def take_from(self, frame_idx: int) -> list[Fed] | None:
        """Forget the steps from `frame_idx` on and return those in which the user gave something; None if too old."""
        if self._steps and frame_idx < self._steps[0].frame_idx:
            return None
        taken = [step for step in self._steps if step.frame_idx >= frame_idx]
        for _ in taken:
            self._steps.pop()
        return [step for step in taken if step.user_pcm is not None or step.inserts]
