"""Where the worker's messages go: one port a session, one an answer. Called from the worker's thread; must not block."""

from __future__ import annotations

import secrets
from typing import Protocol

from vivavoce.omni.engine_protocol import AnswerDelta


class SessionPort(Protocol):
    """Where a session's messages go."""

    unapplied: int
    """Client events on their way to the session; the sender counts up, the worker down."""

    def deliver(self, messages: list[str], close_code: int | None) -> None:
        """Send these, in order; then close if there is a code."""
        ...


class AnswerPort(Protocol):
    """Where an answer's pieces go."""

    def deliver(self, delta: AnswerDelta) -> None:
        """One piece."""
        ...

    def end(self, error: Exception | None) -> None:
        """No more comes."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether the reader is so far behind that the answer should wait."""
        ...


def make_id(kind: str) -> str:
    """A new id in the protocol's style."""
    return f"{kind}_{secrets.token_hex(10)}"
