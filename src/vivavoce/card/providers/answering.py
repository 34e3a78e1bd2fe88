"""What every provider shares: reading a request's messages, checking an answer, and making Inspect's output of it."""

from __future__ import annotations

import inspect
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    Content,
    ContentAudio,
    ContentText,
    GenerateConfig,
    ModelOutput,
    ModelUsage,
)

from vivavoce.card.media_store import MediaStore
from vivavoce.card.speech import measure_audible_s
from vivavoce.content import Audio, Conversation, Image, Message, Text
from vivavoce.content_formats import from_inspect
from vivavoce.errors import ConfigError, DataError, EndpointError
from vivavoce.media import read_audio

OUTPUT_RATE_HZ = 24_000
MAX_RETRIES = 2
TIMEOUT_S = 60.0

REASONS = (
    "endpoint_down",
    "timeout",
    "rate_limited",
    "no_audio",
    "wrong_rate",
    "truncated_audio",
    "silent_audio",
    "empty_answer",
    "bad_answer",
    "no_recogniser",
    "no_voice",
)
"""Stable first words of what goes wrong at an endpoint; a sample that meets one is unscored with it."""


def fail(reason: str, detail: str) -> EndpointError:
    """An `EndpointError` that starts with a stable reason."""
    assert reason in REASONS, reason
    return EndpointError(f"{reason}: {detail}")


def read_reason(error: BaseException) -> str:
    """The stable reason of an error, `error` where it has none.

    When retries are spent, Inspect raises an error of its own whose cause is what the client raised.
    """
    current: BaseException | None = error
    while current is not None:
        word = str(current).partition(":")[0].strip()
        if word in REASONS:
            return word
        status = getattr(current, "status_code", None)
        if status == 429:
            return "rate_limited"
        if isinstance(status, int) and status >= 500:
            return "bad_answer"
        if isinstance(current, TimeoutError):
            return "timeout"
        current = current.__cause__ or current.__context__
    return "error"


def refuse_arguments(provider: type, unknown: Mapping[str, Any]) -> None:
    """Refuse model arguments that `provider` does not know: one that is misspelt must not be left out in silence.

    Raises: ConfigError if there is any.
    """
    if unknown:
        given = ("self", "model_name", "base_url", "api_key", "config", "model_args")
        known = [name for name in inspect.signature(provider).parameters if name not in given]
        raise ConfigError(f"model arguments {sorted(unknown)} are unknown; allowed: {', '.join(known)}")


def check_address(base_url: str) -> str:
    """`base_url`, where it is an address that can be called.

    Raises: ConfigError if it isn't.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"base url is {base_url!r}; need http:// or https://; write http://127.0.0.1:8000/v1")
    return base_url


class Request(NamedTuple):
    """What is asked of an endpoint: the talk so far, which outputs, and in which voice."""

    conversation: Conversation
    wants_audio: bool
    voice: str | None
    seed: int
    extra: Mapping[str, Any]


def read_request(messages: list[ChatMessage], config: GenerateConfig, *, keep_transcripts: bool = False) -> Request:
    """The request of an Inspect call; `extra_body` says `modalities` and `audio.voice` as OpenAI does.

    Sound comes from the media store, exact. Its transcript is left out unless `keep_transcripts`: a model under
    examination hears, it is not told.
    """
    extra = config.extra_body or {}
    store = MediaStore.current()
    talk = []
    for message in messages:
        parts = []
        contents = [ContentText(text=message.content)] if isinstance(message.content, str) else message.content
        for content in contents:
            if isinstance(content, ContentAudio):
                if message.role == "assistant":
                    continue  # its words stand beside it
                audio = store.from_content(content)
                parts.append(audio if keep_transcripts else Audio(audio.samples, audio.rate_hz))
            else:
                parts.extend(from_inspect(message.role, [content]).parts)
        talk.append(Message(message.role, tuple(parts)))
    voice = (extra.get("audio") or {}).get("voice")
    wants_audio = "audio" in (extra.get("modalities") or [])
    return Request(Conversation(tuple(talk)), wants_audio, voice, config.seed or 0, extra)


def make_output(
    model_name: str,
    text: str,
    audio: Audio | None,
    *,
    request: Request,
    metadata: Mapping[str, Any] | None = None,
    usage: ModelUsage | None = None,
    images: tuple[Image, ...] = (),
) -> ModelOutput:
    """Inspect's output of an answer: its words, its sound by reference, what was measured.

    Raises: EndpointError where audio was asked and none came, or what came is silent; where nothing came at all.
    """
    if request.wants_audio and (audio is None or len(audio.samples) < 2):
        raise fail("no_audio", f"audio was asked and {model_name} returned none; check its modalities")
    if not request.wants_audio and not text.strip() and not images:
        raise fail("empty_answer", f"{model_name} returned neither text nor sound; check its token limit")
    content: list[Content] = [ContentText(text=text)]
    facts = dict(metadata or {})
    if audio is not None and request.wants_audio:
        facts["audible_s"] = round(measure_audible_s(audio), 3)
        if facts["audible_s"] == 0:
            raise fail("silent_audio", f"{model_name} returned {audio.duration_s:.1f} s of sound, none of it audible")
        content.append(MediaStore.current().to_content(Audio(audio.samples, audio.rate_hz, text), voice=request.voice))
    message = ChatMessageAssistant(content=content, model=model_name, source="generate")
    words = sum(len(part.text.split()) for turn in request.conversation.messages for part in turn.parts_of(Text))
    return ModelOutput(
        model=model_name,
        choices=[ChatCompletionChoice(message=message, stop_reason="stop")],
        # counted in words: without a usage Inspect would fetch a tokenizer from the network
        usage=usage or ModelUsage(input_tokens=words, output_tokens=len(text.split())),
        metadata=facts or None,
    )


def read_wav_answer(data: bytes, model_name: str, *, rate_hz: int | None = OUTPUT_RATE_HZ) -> Audio:
    """Sound of an endpoint's wav.

    Raises: EndpointError if it is cut short, can't be read, or has another rate than `rate_hz` (None: any).
    """
    if data[:4] == b"RIFF":
        _check_riff(data, model_name)
    try:
        audio = read_audio(data)
    except DataError as error:
        raise fail("truncated_audio", f"the sound of {model_name} can't be read ({error})") from error
    if rate_hz is not None and audio.rate_hz != rate_hz:
        raise fail("wrong_rate", f"{model_name} answers at {audio.rate_hz} Hz; asked for {rate_hz}; set -M rate_hz")
    return audio


def _check_riff(data: bytes, model_name: str) -> None:
    place = 12
    while place + 8 <= len(data):
        kind, size = data[place : place + 4], struct.unpack("<I", data[place + 4 : place + 8])[0]
        if kind == b"data":
            present = len(data) - place - 8
            # servers that stream write 0 or the largest number, because they do not know the size yet
            if size not in (0, 0xFFFFFFFF) and size > present and size < 0x7FFFFF00:
                raise fail("truncated_audio", f"wav of {model_name} says {size} bytes of sound and holds {present}")
            return
        place += 8 + size + size % 2
    raise fail("truncated_audio", f"wav of {model_name} has {len(data)} bytes and no sound chunk")
