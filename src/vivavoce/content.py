"""The values that cross rooms: parts, messages, conversations.

Frozen, compared by value (arrays included), checked on construction. Converters to and from other people's formats are
in `content_formats`; reading and writing of media files in `media`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

import numpy as np

from vivavoce.errors import DataError

Role = Literal["system", "user", "assistant", "tool"]
PartT = TypeVar("PartT", "Text", "Audio", "Image", "Video")


class _ByValue:
    """Equality of dataclasses that hold arrays."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_is_equal(getattr(self, item.name), getattr(other, item.name)) for item in fields(self))  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]


def _is_equal(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return isinstance(left, np.ndarray) and isinstance(right, np.ndarray) and np.array_equal(left, right)
    return left == right


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Audio(_ByValue):
    """Mono sound. samples: [S] float32, nominally in [-1, 1]; `transcript` is what is said, where it is known.

    Raises: DataError if samples are not one-dimensional float32 or the rate is not positive.
    """

    samples: np.ndarray
    rate_hz: int
    transcript: str | None = None

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise DataError(
                f"audio samples are {self.samples.dtype} {list(self.samples.shape)}; need float32 [S]; "
                "mix to mono and convert before making an Audio"
            )
        if self.rate_hz <= 0:
            raise DataError(f"audio rate is {self.rate_hz} Hz; need a positive number")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz


@dataclass(frozen=True, slots=True, eq=False)
class Image(_ByValue):
    """A picture. pixels: [height, width, 3] uint8, RGB.

    Raises: DataError if the array is anything else.
    """

    pixels: np.ndarray

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise DataError(f"image is {self.pixels.dtype} {list(self.pixels.shape)}; need uint8 [height, width, 3]")


@dataclass(frozen=True, slots=True, eq=False)
class Video(_ByValue):
    """A film. frames: [N, height, width, 3] uint8, RGB, at `fps` frames a second from time 0; its sound, if any.

    Raises: DataError if there are no frames, the array has another shape, or fps is not positive.
    """

    frames: np.ndarray
    fps: float
    audio: Audio | None = None

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[3] != 3 or self.frames.dtype != np.uint8:
            raise DataError(
                f"video is {self.frames.dtype} {list(self.frames.shape)}; need uint8 [frames, height, width, 3]"
            )
        if len(self.frames) == 0:
            raise DataError("video has no frames; need at least one")
        if self.fps <= 0:
            raise DataError(f"video has {self.fps} frames a second; need a positive number")

    @property
    def duration_s(self) -> float:
        """Length in seconds, of the pictures."""
        return len(self.frames) / self.fps


Part = Text | Audio | Image | Video


@dataclass(frozen=True, slots=True)
class Message:
    """Who says what: an ordered mix of parts."""

    role: Role
    parts: tuple[Part, ...] = ()

    @property
    def text(self) -> str:
        """All text of the message, transcripts of its audio included, in order."""
        said = [
            part.text if isinstance(part, Text) else part.transcript or ""
            for part in self.parts
            if isinstance(part, Text | Audio)
        ]
        return " ".join(piece for piece in said if piece)

    def parts_of(self, kind: type[PartT]) -> list[PartT]:
        """The parts of one kind, in order."""
        return [part for part in self.parts if isinstance(part, kind)]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in order."""

    messages: tuple[Message, ...] = field(default=())

    def append(self, message: Message) -> Conversation:
        """A conversation with one more message."""
        return Conversation((*self.messages, message))


def system(*parts: Part | str) -> Message:
    """A system message; strings become `Text`."""
    return Message("system", _as_parts(parts))


def user(*parts: Part | str) -> Message:
    """A user message; strings become `Text`."""
    return Message("user", _as_parts(parts))


def assistant(*parts: Part | str) -> Message:
    """An assistant message; strings become `Text`."""
    return Message("assistant", _as_parts(parts))


def _as_parts(parts: tuple[Part | str, ...]) -> tuple[Part, ...]:
    return tuple(Text(part) if isinstance(part, str) else part for part in parts)
