"""The running transcript of the user as events: which item each piece belongs to, and when a transcript is whole. Pure."""

from __future__ import annotations

from typing import Any

from vivavoce.serve.guards.session_guards import SessionGuards
from vivavoce.serve.hearing import Transcripts
from vivavoce.serve.items import ItemList
from vivavoce.serve.responses import Emit


class UserTranscript:
    """Driven by the session: `note` once a clock step, `commit` when a turn ends.

    wanted: the session's `transcription` setting; None asks for no events.
    """

    def __init__(self, emit: Emit, items: ItemList, guards: SessionGuards, wanted: dict[str, Any] | None) -> None:
        self.wanted = wanted
        self._emit = emit
        self._items = items
        self._guards = guards
        self._pieces = Transcripts()

    @property
    def is_pending(self) -> bool:
        """Whether more clock steps are needed to finish a transcript."""
        return self._pieces.is_pending

    @property
    def early_text(self) -> str:
        """Text of the turn that is not over yet."""
        return self._pieces.early_text

    @property
    def _is_streamed_early(self) -> bool:
        """`delay: minimal` asks for the transcript while the user still speaks."""
        return self.wanted is not None and self.wanted.get("delay") == "minimal"

    def forget_early(self) -> None:
        """The turn that is going on was cleared."""
        self._pieces.forget_early()

    def begin(self, item_id: str) -> None:
        """The user's turn was announced as `item_id`."""
        if self.early_text and self._is_streamed_early:
            self._emit_delta(item_id, self.early_text)

    def note(self, delta: str, settled: str, *, told_item_id: str | None, is_heard: bool) -> None:
        """One clock step's text, and utterances that are over, as they are known in the end: only a whole transcript has these words.
        told_item_id: the turn going on, if announced; is_heard: nothing committed waits."""
        item_id = self._pieces.add(delta) if delta else None
        if item_id is not None:
            self._emit_delta(item_id, delta)
        elif delta and self._is_streamed_early and told_item_id:
            self._emit_delta(told_item_id, delta)
        if settled:
            self._pieces.settle(settled)
        if is_heard and self._pieces.tick():
            self.finish()

    def commit(self, item_id: str, *, was_told: bool) -> None:
        """The turn is over and is `item_id` now."""
        self.finish()
        early = self._pieces.commit(item_id)
        if early and not (self._is_streamed_early and was_told):
            self._emit_delta(item_id, early)

    def finish(self) -> None:
        """The open transcript, if there is one, is whole."""
        if not self._pieces.is_pending:
            return
        item_id, text = self._pieces.close()
        if not self._items.has(item_id):
            return
        part = self._items.get(item_id).content[0]
        part.text = text
        seconds = len(part.samples) / part.rate_hz if part.samples is not None else 0.0
        if self.wanted is not None:
            self._emit(
                "conversation.item.input_audio_transcription.completed",
                item_id=item_id,
                content_index=0,
                transcript=text,
                usage={"type": "duration", "seconds": round(seconds, 3)},
            )
        self._guards.hear_user(text)

    def _emit_delta(self, item_id: str, delta: str) -> None:
        if self.wanted is not None:
            self._emit(
                "conversation.item.input_audio_transcription.delta", item_id=item_id, content_index=0, delta=delta
            )
