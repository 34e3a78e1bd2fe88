"""One response of a realtime session: from `response.created` to `response.done`, in the protocol's order of events.

Pure: it writes events through `emit` and items into the record. When a response starts, ends or is cut is decided in
`session`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vivavoce.content import Image
from vivavoce.serve.items import Content, Item, ItemList
from vivavoce.serve.settings import show_format
from vivavoce.serve.sound import RATE_HZ, Resampler, WireFormat, encode_sound
from vivavoce.serve.usage import Usage

Status = Literal["completed", "cancelled", "incomplete", "failed"]
Reason = Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"]
Emit = Callable[..., None]
_SPOKEN_CHARS_PER_S = 15.0
"""How fast text is spoken, where a cut utterance does not tell. chosen: about 150 words a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSettings:
    """What one response is made with; the session's settings unless `response.create` said otherwise."""

    modality: Literal["audio", "text"]
    output_format: WireFormat
    voice: str
    max_tokens: int | None = None
    metadata: dict[str, str] | None = None
    is_in_band: bool = True
    """False for `conversation: none`: the answer joins no conversation."""
    is_live: bool = True
    """Spoken by the session's own slot on the clock; else an answer made turn by turn."""


class Response:
    """A response being made. Call `create`, then any of `add_*`, then `finish` once."""

    def __init__(
        self,
        response_id: str,
        settings: ResponseSettings,
        *,
        conversation_id: str,
        items: ItemList,
        emit: Emit,
        new_id: Callable[[str], str],
    ) -> None:
        self.id = response_id
        self.settings = settings
        self.usage = Usage()
        self.item: Item | None = None
        """The message being spoken or written, once it has begun."""
        self.sent_samples = 0
        """Samples at 24 kHz sent so far."""
        self.is_done = False
        self._conversation_id = conversation_id if settings.is_in_band else None
        self._items = items
        self._emit = emit
        self._new_id = new_id
        self._output: list[Item] = []
        self._pieces: list[np.ndarray] = []
        self._resampler = Resampler(24_000, RATE_HZ[settings.output_format])

    @property
    def text(self) -> str:
        """What has been said or written so far."""
        return self.item.content[0].text if self.item else ""

    def create(self) -> None:
        """Announce the response."""
        self._emit("response.created", response=self._to_wire("in_progress"))

    def start_item(self, first_frame: int | None = None) -> Item:
        """Open the message, if it is not open; `first_frame` is the clock step its speech starts on."""
        if self.item is not None:
            return self.item
        is_audio = self.settings.modality == "audio"
        part = Content("output_audio" if is_audio else "output_text")
        item = Item(self._new_id("item"), "assistant", [part], "in_progress", first_frame)
        self.item = item
        self._add_item(item)
        shown = {"type": "audio", "transcript": ""} if is_audio else {"type": "text", "text": ""}
        self._emit_part("response.content_part.added", part=shown)
        return item

    def add_text(self, delta: str) -> None:
        """More text: the answer itself, or the transcript of its speech."""
        if not delta:
            return
        self.start_item().content[0].text += delta
        is_audio = self.settings.modality == "audio"
        self._emit_part(f"response.output_{'audio_transcript' if is_audio else 'text'}.delta", delta=delta)

    def add_audio(self, samples: np.ndarray) -> None:
        """More speech, [S] float32 at 24 kHz."""
        if len(samples) == 0:
            return
        self.start_item()
        self._pieces.append(samples)
        self.sent_samples += len(samples)
        data = encode_sound(self._resampler.feed(samples), self.settings.output_format)
        self._emit_part("response.output_audio.delta", delta=base64.b64encode(data).decode())

    def add_image(self, image: Image) -> None:
        """A drawn picture: an item of its own, so that clients that know no pictures keep the spoken one."""
        item = Item(self._new_id("item"), "assistant", [Content("output_image", picture=image)], "in_progress")
        self._add_item(item)
        place = {"item_id": item.id, "output_index": self._output.index(item), "content_index": 0}
        shown = item.content[0].to_wire(with_media=True)
        self._emit("response.content_part.added", response_id=self.id, **place, part={"type": "image"})
        done = {"type": "image", "image_url": shown["image_url"]}
        self._emit("response.content_part.done", response_id=self.id, **place, part=done)
        self._finish_item(item, "completed")

    def finish(self, status: Status, reason: Reason | None = None, error: str | None = None) -> None:
        """Close what is open and send `response.done`."""
        if self.is_done:
            return
        self.is_done = True
        if self.item is not None:
            self._finish_message(self.item, "completed" if status == "completed" else "incomplete")
        details: dict[str, Any] | None = None
        if status != "completed":
            details = {"type": status}
            if reason:
                details["reason"] = reason
            if error:
                details["error"] = {"type": "server_error", "code": "answer_failed", "message": error}
        self._emit("response.done", response=self._to_wire(status, details))

    def _finish_message(self, item: Item, status: Literal["completed", "incomplete"]) -> None:
        part = item.content[0]
        if self.settings.modality == "audio":
            part.samples = np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.float32)
            self._emit_part("response.output_audio.done")
            self._emit_part("response.output_audio_transcript.done", transcript=part.text)
            shown = {"type": "audio", "transcript": part.text}
        else:
            self._emit_part("response.output_text.done", text=part.text)
            shown = {"type": "text", "text": part.text}
        self._emit_part("response.content_part.done", part=shown)
        self._finish_item(item, status)

    def _add_item(self, item: Item) -> None:
        self._output.append(item)
        shown = item.to_wire(is_empty=True)
        place = self._output.index(item)
        self._emit("response.output_item.added", response_id=self.id, output_index=place, item=shown)
        if self.settings.is_in_band:
            previous = self._items.insert(item)
            self._emit("conversation.item.added", previous_item_id=previous, item=shown)

    def _finish_item(self, item: Item, status: Literal["completed", "incomplete"]) -> None:
        item.status = status
        place, shown = self._output.index(item), item.to_wire()
        self._emit("response.output_item.done", response_id=self.id, output_index=place, item=shown)
        if self.settings.is_in_band and self._items.has(item.id):
            self._emit("conversation.item.done", previous_item_id=self._items.before(item), item=shown)

    def _emit_part(self, name: str, **fields: Any) -> None:
        assert self.item is not None
        place = {"item_id": self.item.id, "output_index": self._output.index(self.item), "content_index": 0}
        self._emit(name, response_id=self.id, **place, **fields)

    def _to_wire(self, status: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
        spoken = {"output": {"format": show_format(self.settings.output_format), "voice": self.settings.voice}}
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": details,
            "output": [item.to_wire() for item in self._output],
            "conversation_id": self._conversation_id,
            "output_modalities": [self.settings.modality],
            "max_output_tokens": self.settings.max_tokens or "inf",
            "audio": spoken,
            "metadata": self.settings.metadata,
            "usage": None if status == "in_progress" else self.usage.to_wire(),
        }


def cut_text(text: str, heard_s: float, spoken_s: float, *, is_whole: bool) -> str:
    """The words of `text` that were heard after `heard_s` of `spoken_s` seconds.

    Text runs ahead of speech, so that of an utterance that was cut short only what fits the usual pace counts.
    """
    if heard_s >= spoken_s and is_whole:
        return text
    length = heard_s * _SPOKEN_CHARS_PER_S
    if is_whole and spoken_s > 0:
        length = len(text) * heard_s / spoken_s
    if length >= len(text):
        return text
    # a word that was begun counts as unheard
    return text[: text.rfind(" ", 0, int(length) + 1) + 1].rstrip() if " " in text[: int(length) + 1] else ""
