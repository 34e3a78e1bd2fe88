"""Text that comes one id at a time: whole characters as soon as they are whole. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

_KEPT_IDS = 48
"""Ids decoded anew each time; a character is at most four of them."""


class Decoder(Protocol):
    """As much of a vocabulary as is needed here."""

    def decode(self, ids: list[int]) -> str:
        """Text of ids; incomplete UTF-8 becomes the replacement mark."""
        ...


@dataclass(frozen=True, slots=True)
class TextStream:
    """The ids since the last break, and how much of their text was given out. Values: pushing makes a new one."""

    ids: tuple[int, ...] = ()
    num_given: int = 0

    def push(self, idx: int, decoder: Decoder) -> tuple[TextStream, str]:
        """The stream with one more id, and the text it adds ("" while a character is incomplete)."""
        ids = (*self.ids, idx)
        text = decoder.decode(list(ids))
        whole = text.rstrip("\ufffd")
        delta = whole[self.num_given :]
        stream = replace(self, ids=ids, num_given=max(self.num_given, len(whole)))
        return stream._shorten(decoder), delta

    def _shorten(self, decoder: Decoder) -> TextStream:
        """Forget ids whose text is out, so that a long talk stays cheap; only where nothing is pending."""
        if len(self.ids) <= _KEPT_IDS or decoder.decode(list(self.ids)).endswith("\ufffd"):
            return self
        kept = self.ids[-1:]
        return TextStream(kept, len(decoder.decode(list(kept))))
