"""What an engine may offer beyond `DuplexEngine`, so that long work on one slot does not delay the others' clock steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from vivavoce.content import Message, Text
from vivavoce.omni.engine_protocol import AnswerDelta

SHORT_CHARS = 200
"""Text up to this is read within a clock step: less than one chunk of 64 steps. chosen."""


@runtime_checkable
class PiecewiseEngine(Protocol):
    """Opens, reads and draws in pieces of about a clock step's work each, as `DuplexEngine.answer` does.

    A slot in the middle of it must not be stepped; all other slots may be. Deltas carry token_steps and, in a drawing's
    last, the image. Closing an iterator early leaves the slot as it was before.
    """

    draws_apart: bool
    """Whether `step` leaves a drawing that was begun to `draw`; False: `step` draws it at once."""

    def open_in_pieces(self, slot: int, system: str, seed: int) -> Iterator[AnswerDelta]:
        """`open_slot`. Raises: DataError at the first piece, with the slot closed."""
        ...

    def read(self, slot: int, messages: Sequence[Message]) -> Iterator[AnswerDelta]:
        """What `step` would do with `inserts`. Raises: DataError if they do not fit; then the slot is as before."""
        ...

    def is_drawing(self, slot: int) -> bool:
        """Whether the slot's last step began a drawing that has not been drawn."""
        ...

    def draw(self, slot: int) -> Iterator[AnswerDelta]:
        """The drawing that was begun; it is dropped if the slot is stepped instead."""
        ...


def is_long(messages: Sequence[Message]) -> bool:
    """Whether reading `messages` takes more than a part of a clock step: media, or much text."""
    parts = [part for message in messages for part in message.parts]
    num_chars = sum(len(part.text) for part in parts if isinstance(part, Text))
    return num_chars > SHORT_CHARS or any(not isinstance(part, Text) for part in parts)
