"""Conversation items: the record of a realtime session, in the protocol's shape and as `content` messages. Torch-free."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vivavoce.content import Audio, Conversation, Image, Message, Part, Text, Video
from vivavoce.content_formats import read_data_uri
from vivavoce.errors import DataError
from vivavoce.media import encode_png, read_image, read_video
from vivavoce.serve.limits import Limits
from vivavoce.serve.settings import check_text
from vivavoce.serve.sound import Resampler, WireFormat, decode_sound, encode_sound
from vivavoce.serve.wire import WireError, decode_base64

USER_RATE_HZ = 16_000
Role = Literal["user", "assistant", "system"]


@dataclass(slots=True)
class Content:
    """One part of an item. `kind` is the protocol's type; `samples` are 16 kHz of the user, 24 kHz of the model."""

    kind: Literal["input_text", "input_audio", "input_image", "output_text", "output_audio", "output_image"]
    text: str = ""
    samples: np.ndarray | None = None
    picture: Image | Video | None = None
    source: str = ""
    """The data URI a picture came in, to show it as it was given."""

    @property
    def rate_hz(self) -> int:
        """Rate of `samples`."""
        return 24_000 if self.kind == "output_audio" else USER_RATE_HZ

    def to_wire(self, *, with_media: bool) -> dict[str, Any]:
        """The part as the protocol writes it; sound and pictures only where asked for."""
        if self.kind in ("input_text", "output_text"):
            return {"type": self.kind, "text": self.text}
        if self.kind in ("input_audio", "output_audio"):
            part: dict[str, Any] = {"type": self.kind, "transcript": self.text or None}
            if with_media and self.samples is not None:
                samples = self.samples
                if self.rate_hz != 24_000:
                    samples = Resampler(self.rate_hz, 24_000).feed(samples)
                part["audio"] = base64.b64encode(encode_sound(samples, "audio/pcm")).decode()
            return part
        if self.kind == "output_image":
            assert isinstance(self.picture, Image)
            return {"type": "output_image", "image_url": show_picture(self.picture)}
        if isinstance(self.picture, Video):
            return {"type": "input_video", **({"video_url": self.source} if with_media else {})}
        return {"type": "input_image", "image_url": self.source if with_media else None}

    def to_part(self) -> Part | None:
        """The part as a value the engine reads; None if nothing is left of it."""
        if self.picture is not None:
            return self.picture
        if self.samples is not None:
            return Audio(self.samples, self.rate_hz, self.text or None) if len(self.samples) else None
        return Text(self.text) if self.text else None


@dataclass(slots=True)
class Item:
    """One message of the conversation.

    first_frame, num_frames: the clock steps of the live slot that spoke it, where it was spoken live.
    """

    id: str
    role: Role
    content: list[Content] = field(default_factory=list)
    status: Literal["completed", "incomplete", "in_progress"] = "completed"
    first_frame: int | None = None
    num_frames: int = 0

    def to_wire(self, *, with_media: bool = False, is_empty: bool = False) -> dict[str, Any]:
        """The item as the protocol writes it; `is_empty` while the model is still making it."""
        content = [] if is_empty else [part.to_wire(with_media=with_media) for part in self.content]
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": content,
        }

    def to_message(self) -> Message:
        """The item as a message of the conversation."""
        parts = (part.to_part() for part in self.content)
        return Message(self.role, tuple(part for part in parts if part is not None))


def show_picture(picture: Image) -> str:
    """A PNG data URI."""
    return f"data:image/png;base64,{base64.b64encode(encode_png(picture)).decode()}"


class ItemList:
    """The items of a conversation, in order."""

    def __init__(self, limits: Limits) -> None:
        self._items: list[Item] = []
        self._limits = limits

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def last_id(self) -> str | None:
        """Id of the last item, if there is one."""
        return self._items[-1].id if self._items else None

    def get(self, item_id: str, param: str = "item_id") -> Item:
        """The item of this id. Raises: WireError."""
        for item in self._items:
            if item.id == item_id:
                return item
        raise WireError(
            f"{param} is {item_id!r:.90}; the conversation has no such item", code="item_not_found", param=param
        )

    def has(self, item_id: str) -> bool:
        """Whether an item has this id."""
        return any(item.id == item_id for item in self._items)

    def check_room(self) -> None:
        """Raises: WireError if one more item is too many."""
        if len(self._items) >= self._limits.max_items:
            raise WireError(
                f"the conversation has {len(self._items)} items; at most {self._limits.max_items} (max_items); delete some",
                code="conversation_too_long",
            )

    def insert(self, item: Item, previous_id: str | None = None) -> str | None:
        """Put `item` after `previous_id` (None: at the end, "root": at the front); return the id it now follows.

        Raises: WireError for an unknown previous item or an id that is taken.
        """
        if self.has(item.id):
            raise WireError(f"item.id is {item.id!r:.90}; an item has it already", code="item_exists", param="item.id")
        place = len(self._items)
        if previous_id == "root":
            place = 0
        elif previous_id is not None:
            place = self._items.index(self.get(previous_id, "previous_item_id")) + 1
        self._items.insert(place, item)
        self._drop_old_sound()
        return self._items[place - 1].id if place else None

    def before(self, item: Item) -> str | None:
        """Id of the item that `item` follows."""
        place = self._items.index(item)
        return self._items[place - 1].id if place else None

    def delete(self, item_id: str) -> Item:
        """Take an item out. Raises: WireError."""
        item = self.get(item_id)
        self._items.remove(item)
        return item

    def after(self, item: Item) -> list[Item]:
        """The items that follow `item`."""
        return self._items[self._items.index(item) + 1 :]

    def to_conversation(self) -> Conversation:
        """All that was said, without empty messages."""
        messages = (item.to_message() for item in self._items)
        return Conversation(tuple(message for message in messages if message.parts))

    def _drop_old_sound(self) -> None:
        kept_s = 0.0
        for item in reversed(self._items):
            for part in item.content:
                if part.samples is None:
                    continue
                kept_s += len(part.samples) / part.rate_hz
                if kept_s > self._limits.max_kept_audio_s:
                    part.samples = None


Pictures = tuple[Image | Video | None, ...]


def read_pictures(given: Any, limits: Limits, where: str = "item") -> Pictures:
    """The pictures and films of a client's item, by part. Slow, so done apart from the worker's thread.

    Raises: WireError naming the part at fault.
    """
    content = getattr(given, "content", None) or []
    if len(content) > limits.max_media_parts:
        raise WireError(
            f"{where}.content has {len(content)} parts; at most {limits.max_media_parts} (max_media_parts)",
            param=f"{where}.content",
        )
    return tuple(
        _read_picture(part, f"{where}.content.{idx}", limits) if part.type == "input_image" else None
        for idx, part in enumerate(content)
    )


def _read_picture(part: Any, where: str, limits: Limits) -> Image | Video:
    video_url = getattr(part, "video_url", None)
    uri, name = (video_url, "video_url") if video_url else (part.image_url, "image_url")
    if not isinstance(uri, str):
        raise WireError(f"{where}.{name} is missing; it is required", code="missing_required_parameter", param=where)
    try:
        data = read_data_uri(uri)
        return read_video(data, max_s=limits.max_media_s) if video_url else read_image(data)
    except DataError as error:
        raise WireError(f"{where}.{name}: {error}", param=f"{where}.{name}") from None


def read_item(given: Any, item_id: str, limits: Limits, input_format: WireFormat, pictures: Pictures) -> Item:
    """A client's item (the SDK's class) as ours; `pictures` come from `read_pictures`.

    Raises: WireError naming the part at fault.
    """
    if given.type != "message":
        raise WireError(
            f"item.type is {given.type!r}; only message: the model makes no function calls",
            code="unsupported_feature",
            param="item.type",
        )
    if not given.content:
        raise WireError("item.content is empty; need at least one part", param="item.content")
    parts = [
        _read_part(part, f"item.content.{idx}", limits, input_format, picture)
        for idx, (part, picture) in enumerate(zip(given.content, pictures, strict=True))
    ]
    if given.role == "assistant" and any(part.kind != "output_text" for part in parts):
        raise WireError(
            "item.content of an assistant message holds sound; only output_text can be put in", param="item.content"
        )
    return Item(item_id, given.role, parts)


def _read_part(
    part: Any, where: str, limits: Limits, input_format: WireFormat, picture: Image | Video | None
) -> Content:
    kind = part.type
    if kind in ("input_text", "output_text"):
        if not isinstance(part.text, str):
            raise WireError(f"{where}.text is missing; it is required", code="missing_required_parameter", param=where)
        return Content(kind, check_text(part.text, f"{where}.text", limits.max_text_chars))
    if kind == "input_audio":
        if not isinstance(part.audio, str):
            raise WireError(f"{where}.audio is missing; it is required", code="missing_required_parameter", param=where)
        return Content(kind, part.transcript or "", read_sound(part.audio, f"{where}.audio", limits, input_format))
    if kind == "input_image":
        return Content(kind, picture=picture, source=getattr(part, "video_url", None) or part.image_url)
    raise WireError(
        f"{where}.type is {kind!r}; allowed: input_text, input_audio, input_image, input_video", param=where
    )


def read_sound(audio: str, param: str, limits: Limits, input_format: WireFormat) -> np.ndarray:
    """Base64 sound of the session's input format as [S] float32 at 16 kHz. Raises: WireError."""
    data = decode_base64(audio, param)
    try:
        samples = decode_sound(data, input_format)
    except ValueError as error:
        raise WireError(f"{param}: {error}", code="invalid_audio", param=param) from None
    rate_hz = 24_000 if input_format == "audio/pcm" else 8_000
    if len(samples) > limits.max_media_s * rate_hz:
        raise WireError(
            f"{param} lasts {len(samples) / rate_hz:.1f} s; at most {limits.max_media_s:.0f} s (max_media_s)",
            param=param,
        )
    return Resampler(rate_hz, USER_RATE_HZ).feed(samples)
