"""Our messages to and from other people's: OpenAI chat parts, Inspect content, Hugging Face chat messages.

OpenAI and Inspect carry media as encoded files (16-bit wav, PNG, mp4), Hugging Face as arrays. Pictures and 16-bit sound
survive the round trip exactly; films are compressed and survive nearly.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vivavoce.content import Audio, Image, Message, Part, Text, Video
from vivavoce.errors import DataError
from vivavoce.media import encode_png, encode_wav, read_audio, read_image, read_video, write_video

if TYPE_CHECKING:
    from inspect_ai.model import Content


def to_openai(message: Message) -> dict[str, Any]:
    """A chat-completions message. Films use the usual extension `video_url`; text alone becomes a plain string."""
    if all(isinstance(part, Text) for part in message.parts):
        return {"role": message.role, "content": "".join(part.text for part in message.parts_of(Text))}
    return {"role": message.role, "content": [_to_openai_part(part) for part in message.parts]}


def _to_openai_part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": _base64(encode_wav(part)), "format": "wav"}}
        case Image():
            return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_base64(encode_png(part))}"}}
        case Video():
            return {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{_base64(_encode_mp4(part))}"}}


def from_openai(message: Mapping[str, Any]) -> Message:
    """The inverse of `to_openai`; also reads `audio_url` parts.

    Raises: DataError for a part type or an address that is not a data URI, named by its place.
    """
    content = message.get("content")
    if isinstance(content, str):
        return Message(message["role"], (Text(content),))
    return Message(message["role"], tuple(_from_openai_part(part, idx) for idx, part in enumerate(content or [])))


def _from_openai_part(part: Mapping[str, Any], idx: int) -> Part:
    kind = part.get("type")
    try:
        match kind:
            case "text" | "input_text" | "output_text":
                return Text(part["text"])
            case "input_audio":
                return read_audio(_unbase64(part["input_audio"]["data"], idx))
            case "audio_url":
                return read_audio(read_data_uri(part["audio_url"]["url"], idx))
            case "image_url":
                return read_image(read_data_uri(part["image_url"]["url"], idx))
            case "video_url":
                return read_video(read_data_uri(part["video_url"]["url"], idx))
    except (KeyError, TypeError) as error:
        raise DataError(
            f"content part {idx} of type {kind!r} lacks {error}; see the chat-completions format"
        ) from error
    raise DataError(
        f"content part {idx} has type {kind!r}; allowed: text, input_audio, audio_url, image_url, video_url"
    )


def to_inspect(message: Message) -> list[Content]:
    """Inspect content parts, media as data URIs."""
    from inspect_ai.model import ContentAudio, ContentImage, ContentText, ContentVideo

    parts: list[Any] = []
    for part in message.parts:
        match part:
            case Text():
                parts.append(ContentText(text=part.text))
            case Audio():
                parts.append(ContentAudio(audio=f"data:audio/wav;base64,{_base64(encode_wav(part))}", format="wav"))
            case Image():
                parts.append(ContentImage(image=f"data:image/png;base64,{_base64(encode_png(part))}"))
            case Video():
                parts.append(ContentVideo(video=f"data:video/mp4;base64,{_base64(_encode_mp4(part))}", format="mp4"))
    return parts


def from_inspect(role: Any, content: str | list[Content]) -> Message:
    """The inverse of `to_inspect`; media may also be paths. Reasoning and other parts without a value here are left out."""
    if isinstance(content, str):
        return Message(role, (Text(content),))
    parts: list[Part] = []
    for idx, part in enumerate(content):
        match part.type:
            case "text":
                parts.append(Text(part.text))
            case "audio":
                parts.append(read_audio(_load(part.audio, idx)))
            case "image":
                parts.append(read_image(_load(part.image, idx)))
            case "video":
                parts.append(read_video(_load(part.video, idx)))
    return Message(role, tuple(parts))


def to_hugging_face(message: Message) -> dict[str, Any]:
    """A chat message for `ProcessorMixin.apply_chat_template`: parts by type, media as arrays."""
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        match part:
            case Text():
                parts.append({"type": "text", "text": part.text})
            case Audio():
                parts.append({"type": "audio", "audio": part.samples, "sampling_rate": part.rate_hz})
            case Image():
                parts.append({"type": "image", "image": part.pixels})
            case Video():
                sound = {"sound": part.audio.samples, "sampling_rate": part.audio.rate_hz} if part.audio else {}
                parts.append({"type": "video", "video": part.frames, "fps": part.fps, **sound})
    return {"role": message.role, "content": parts}


def from_hugging_face(message: Mapping[str, Any]) -> Message:
    """The inverse of `to_hugging_face`; text content may be a plain string."""
    content = message["content"]
    if isinstance(content, str):
        return Message(message["role"], (Text(content),))
    parts: list[Part] = []
    for idx, part in enumerate(content):
        match part.get("type"):
            case "text":
                parts.append(Text(part["text"]))
            case "audio":
                parts.append(Audio(np.asarray(part["audio"], np.float32), part["sampling_rate"]))
            case "image":
                parts.append(Image(np.asarray(part["image"], np.uint8)))
            case "video":
                sound = Audio(part["sound"], part["sampling_rate"]) if "sound" in part else None
                parts.append(Video(np.asarray(part["video"], np.uint8), part["fps"], sound))
            case kind:
                raise DataError(f"content part {idx} has type {kind!r}; allowed: text, audio, image, video")
    return Message(message["role"], tuple(parts))


def read_data_uri(uri: str, idx: int = 0) -> bytes:
    """The bytes of a base64 data URI.

    Raises: DataError for any other address: nothing is fetched on a client's word.
    """
    head, separator, data = uri.partition(";base64,")
    if not head.startswith("data:") or not separator:
        raise DataError(f"content part {idx} has address {uri[:40]!r}; only base64 data URIs are read; embed the data")
    return _unbase64(data, idx)


def _load(reference: str, idx: int) -> bytes | str:
    return read_data_uri(reference, idx) if reference.startswith("data:") else reference


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unbase64(data: str, idx: int) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise DataError(f"content part {idx} is not base64 ({error}); encode it with the standard alphabet") from error


def _encode_mp4(video: Video) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_video(path, video)
        return path.read_bytes()
