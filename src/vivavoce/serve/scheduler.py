"""What the worker does next: step some slots, go on with work in pieces, or sleep. Pure, no clock of its own.

Live talk goes first. Every slot that is due is stepped in one batch, so that a slow machine falls into bigger batches
instead of falling behind one by one. Answers, pictures read and drawings get the time that is left, piece by piece, and when
talk leaves none, one piece in `STARVED_S`, so that they end. When the oldest due slot is more than `LATE_S` late the machine is overloaded: that is
counted, and no new session is let in until it has caught up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

STARVED_S = 0.4
LATE_S = 0.5
FORESIGHT_S = 0.04
"""Where a step takes longer than this, none is made before its sound is complete: it would be late itself. chosen."""
_DECAY = 0.9


class Step(NamedTuple):
    """Step these slots now."""

    slots: tuple[int, ...]


class Advance(NamedTuple):
    """Make the next piece of an answer, or of a held slot's long work."""


class Sleep(NamedTuple):
    """Nothing is due before this time."""

    until_s: float


Action = Step | Advance | Sleep


class Scheduler:
    """Chooses; is told how long things took."""

    def __init__(self) -> None:
        self.lateness_s = 0.0
        """How late the oldest due slot was at the last choice."""
        self.step_s = 0.0
        self.answer_s = 0.0
        self._fed_s: float | None = None
        """When answers last got time, or began to wait for it."""

    @property
    def is_overloaded(self) -> bool:
        """Whether talk is so late that nobody else should join."""
        return self.lateness_s > LATE_S

    def has_time_to_foresee(self, now_s: float, next_s: float) -> bool:
        """Whether a step more can be made before anyone is due at `next_s`, or comes to be due."""
        return self.step_s <= FORESIGHT_S and now_s + self.step_s <= next_s

    def choose(self, now_s: float, due_s: Mapping[int, float], num_answers: int) -> Action:
        """The next action. due_s: when each slot that wants a step wants it; num_answers: answers waiting for time."""
        due = tuple(sorted(slot for slot, at_s in due_s.items() if at_s <= now_s))
        self.lateness_s = max((now_s - due_s[slot] for slot in due), default=0.0)
        if not num_answers:
            self._fed_s = None
        elif self._fed_s is None:
            self._fed_s = now_s
        elif now_s - self._fed_s >= STARVED_S:
            return Advance()
        if due:
            return Step(due)
        next_s = min(due_s.values(), default=float("inf"))
        if num_answers and now_s + self.answer_s <= next_s:
            return Advance()
        return Sleep(next_s)

    def note_step(self, took_s: float) -> None:
        """A batch of clock steps took this long."""
        self.step_s = _smooth(self.step_s, took_s)

    def note_answer(self, took_s: float, now_s: float) -> None:
        """A piece of an answer took this long."""
        self.answer_s = _smooth(self.answer_s, took_s)
        self._fed_s = now_s


def _smooth(before: float, value: float) -> float:
    return value if before == 0.0 else _DECAY * before + (1 - _DECAY) * value
