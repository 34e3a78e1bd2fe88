"""What the session's slot of the engine remembers, and how it is brought back to what was heard. Pure.

Messages, replays and operations wait here for the next clock step; the log of past steps lets the user's part be heard
again after going back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from vivavoce.content import Message
from vivavoce.serve.rewinding import Fed, Operation, Reopen, Rewind, StepLog


class SlotContext:
    """One slot's past and what it is given next. `take` and `note` come in pairs, one pair a clock step."""

    def __init__(self, system: str) -> None:
        self._operations: list[Operation] = [Reopen(system)]
        self._inserts: list[Message] = []
        self._replay: deque[Fed] = deque()
        self._log = StepLog()
        self._taken: tuple[Fed, bool] | None = None
        self._next_frame_idx = 0
        self._buffer_frame_idx: int | None = None

    @property
    def is_untouched(self) -> bool:
        """Whether no clock step has been made."""
        return self._next_frame_idx == 0

    @property
    def has_replay(self) -> bool:
        """Whether the user's part of steps that were taken back waits to be heard again."""
        return bool(self._replay)

    @property
    def has_buffer(self) -> bool:
        """Whether some of the present input buffer has been heard."""
        return self._buffer_frame_idx is not None

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing has to be done before the next clock step."""
        return not (self._operations or self._inserts or self._replay)

    def tell(self, message: Message) -> None:
        """Have a message read before the next clock step."""
        self._inserts.append(message)

    def reopen(self, system: str) -> None:
        """Start with another system text; for a slot that is untouched."""
        self._operations = [Reopen(system)]

    def restart(self, system: str, messages: Sequence[Message] = ()) -> None:
        """Make the context anew: `system`, then `messages`. What waited to be read is in them, or never was."""
        self._operations = [Reopen(system)]
        self._inserts = list(messages)
        self._replay.clear()
        self._log.clear()
        self._buffer_frame_idx = None

    def take_replay(self) -> Fed:
        """The next step to be heard again."""
        fed = self._replay.popleft()
        self._taken = (fed, True)
        return fed

    def take(self, pcm: np.ndarray | None) -> Fed:
        """The next new step, with the messages that wait. pcm: the user's sound [1280] at 16 kHz, if there is any."""
        inserts, self._inserts = tuple(self._inserts), []
        fed = Fed(-1, pcm, inserts)
        self._taken = (fed, False)
        if pcm is not None and self._buffer_frame_idx is None:
            self._buffer_frame_idx = self._next_frame_idx
        return fed

    def take_operations(self) -> tuple[Operation, ...]:
        """What has to be done to the slot before the step."""
        operations, self._operations = tuple(self._operations), []
        for operation in operations:
            self._next_frame_idx = 0 if isinstance(operation, Reopen) else operation.frame_idx
        return operations

    def note(self, frame_idx: int) -> tuple[Fed, bool]:
        """The step taken was clock step `frame_idx`; returns what was fed, and whether it was a replay."""
        assert self._taken is not None
        (fed, is_replay), self._taken = self._taken, None
        # a response cancelled during a long step may have the context taken back: then this was a step of the old one
        if not self._operations:
            self._next_frame_idx = frame_idx + 1
            self._log.note(fed._replace(frame_idx=frame_idx))
        return fed, is_replay

    def close_buffer(self) -> None:
        """The input buffer was committed, or is heard as something else: it is not gone back to."""
        self._buffer_frame_idx = None

    def go_back_to_buffer(self) -> bool:
        """Unhear the input buffer. False if that is too long ago: make the context anew."""
        if self._buffer_frame_idx is None:
            return True
        is_kept = self._log.take_from(self._buffer_frame_idx) is not None
        if is_kept:
            self._operations.append(Rewind(self._buffer_frame_idx))
        self._buffer_frame_idx = None
        return is_kept

    def go_back(self, frame_idx: int) -> bool:
        """Return to just before `frame_idx`; the user's part since is heard again. False if that is too long ago."""
        taken = self._log.take_from(frame_idx)
        if taken is None:
            return False
        self._operations.append(Rewind(frame_idx))
        self._replay.extendleft(reversed(taken))
        self._buffer_frame_idx = None
        return True
