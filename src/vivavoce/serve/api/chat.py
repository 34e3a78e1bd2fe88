"""`POST /v1/chat/completions`: any mix of text, sound, pictures and films in; text, speech and pictures out.

Pictures come back as content parts, the way other open servers do it: OpenAI's schema knows no picture output.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from vivavoce.content import Conversation, Message, Video
from vivavoce.content_formats import from_openai
from vivavoce.errors import DataError
from vivavoce.omni.engine_protocol import AnswerDelta, AnswerRequest, Modality
from vivavoce.serve.api.answers import GuardedAnswer, collect
from vivavoce.serve.api.encoding import SoundFormat, encode
from vivavoce.serve.api.errors import ERRORS
from vivavoce.serve.api.shared import get_worker, run_decoding, send_events
from vivavoce.serve.items import show_picture
from vivavoce.serve.limits import Limits
from vivavoce.serve.ports import make_id
from vivavoce.serve.settings import check_text, read_voice
from vivavoce.serve.sound import encode_sound
from vivavoce.serve.wire import WireError
from vivavoce.serve.worker import Worker

router = APIRouter()
_AUDIO_LIFE_S = 3600


class TextPart(BaseModel):
    """A piece of text."""

    type: Literal["text"]
    text: str


class SoundData(BaseModel):
    """A sound file in base64."""

    data: str
    format: Literal["wav", "mp3", "flac", "ogg"] = "wav"


class SoundPart(BaseModel):
    """A sound."""

    type: Literal["input_audio"]
    input_audio: SoundData


class Address(BaseModel):
    """A base64 data URI; nothing is fetched."""

    model_config = ConfigDict(extra="allow")
    url: str


class ImagePart(BaseModel):
    """A picture (PNG, JPEG, WebP or GIF)."""

    type: Literal["image_url"]
    image_url: Address


class VideoPart(BaseModel):
    """A film (mp4 or webm), with its sound if it has one."""

    type: Literal["video_url"]
    video_url: Address


class AudioPart(BaseModel):
    """A sound by data URI."""

    type: Literal["audio_url"]
    audio_url: Address


Part = Annotated[TextPart | SoundPart | ImagePart | VideoPart | AudioPart, Field(discriminator="type")]


class ChatMessage(BaseModel):
    """One message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None = None


class ChatAudio(BaseModel):
    """How the answer is spoken."""

    voice: str | dict[str, Any] = "alloy"
    format: SoundFormat = "wav"


class StreamOptions(BaseModel):
    """What a stream ends with."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A request for one answer. Fields of OpenAI's that are not here are taken and have no effect."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    modalities: list[Literal["text", "audio", "image"]] | None = None
    audio: ChatAudio | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    seed: int | None = None
    n: int | None = Field(None, ge=1, le=1, description="One answer at a time.")
    tools: list[Any] | None = Field(None, max_length=0, description="The model makes no function calls.")


class SpokenAnswer(BaseModel):
    """The answer as speech."""

    id: str
    data: str
    transcript: str
    expires_at: int


class AnswerMessage(BaseModel):
    """The answer."""

    role: Literal["assistant"]
    content: str | list[dict[str, Any]] | None
    refusal: str | None
    audio: SpokenAnswer | None = None


class Choice(BaseModel):
    """The one choice there is."""

    index: int
    message: AnswerMessage
    finish_reason: Literal["stop", "length", "content_filter"]
    logprobs: None = None


class PromptDetails(BaseModel):
    """Steps read: of text, of recordings, and of pictures and films."""

    text_tokens: int
    audio_tokens: int
    image_tokens: int


class CompletionDetails(BaseModel):
    """Steps made: of text (drawings too), and of speech."""

    text_tokens: int
    audio_tokens: int


class TokenUsage(BaseModel):
    """Steps of the model."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class ChatCompletion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: TokenUsage


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses={**ERRORS, 200: {"content": {"text/event-stream": {}}, "description": "The answer, whole or streamed"}},
    tags=["chat"],
)
async def complete_chat(body: ChatRequest, request: Request):
    """Answer a conversation. Ask for speech with `modalities: ["text", "audio"]`, for pictures with `"image"`."""
    worker = get_worker(request)
    outputs = _read_outputs(body, worker)
    if "audio" in outputs and body.audio is not None:
        read_voice(body.audio.voice if isinstance(body.audio.voice, str) else None, worker.engine.voices, "audio.voice")
    conversation = await run_decoding(read_messages, body.messages, worker.limits)
    max_tokens = min(body.max_completion_tokens or body.max_tokens or 2**31, worker.limits.max_answer_tokens)
    answer = GuardedAnswer(
        worker,
        AnswerRequest(
            conversation=conversation,
            outputs=outputs,
            max_tokens=max_tokens,
            temperature=body.temperature,
            seed=(body.seed or 0) % 2**31,
            is_streamed=body.stream,
        ),
    )
    await answer.start()
    if body.stream:
        include_usage = body.stream_options is not None and body.stream_options.include_usage
        chunks = _stream(answer, worker.engine.model_name, "audio" in outputs, include_usage)
        return StreamingResponse(send_events(chunks), media_type="text/event-stream")
    text, speech, images = await collect(answer)
    sound_format = body.audio.format if body.audio else "wav"
    message = await run_decoding(_make_message, answer, text, speech, images, sound_format, "audio" in outputs)
    return JSONResponse(_envelope(answer, worker.engine.model_name, message))


def _read_outputs(body: ChatRequest, worker: Worker) -> frozenset[Modality]:
    outputs: frozenset[Modality] = frozenset(body.modalities or ["text"])
    missing = outputs - worker.engine.modalities_out
    if missing:
        raise WireError(
            f"modalities holds {sorted(missing)}; this model makes {sorted(worker.engine.modalities_out)}",
            param="modalities",
        )
    if "audio" in outputs and body.stream and body.audio is not None and body.audio.format not in ("pcm16", "pcm"):
        raise WireError(
            f"audio.format is {body.audio.format!r} in a stream; streamed speech is pcm16", param="audio.format"
        )
    return outputs


def read_messages(messages: list[ChatMessage], limits: Limits) -> Conversation:
    """Messages with their media decoded. Raises: WireError, DataError naming message and part."""
    read: list[Message] = []
    num_media = 0
    for idx, message in enumerate(messages):
        plain = message.model_dump(exclude_none=True)
        if plain["role"] == "developer":
            plain["role"] = "system"
        parts = plain.get("content") or []
        if isinstance(parts, str):
            check_text(parts, f"messages.{idx}.content", limits.max_text_chars)
        else:
            num_media += sum(part["type"] != "text" for part in parts)
            for part in parts:
                check_text(part.get("text", ""), f"messages.{idx}.content", limits.max_text_chars)
        if num_media > limits.max_media_parts:
            raise WireError(
                f"the messages hold over {limits.max_media_parts} pictures, films and sounds (max_media_parts)",
                param=f"messages.{idx}",
            )
        try:
            read.append(from_openai(plain))
        except DataError as error:
            raise WireError(f"messages.{idx}: {error}", param=f"messages.{idx}") from None
        _check_lengths(read[-1], f"messages.{idx}", limits)
    return Conversation(tuple(read))


def _check_lengths(message: Message, where: str, limits: Limits) -> None:
    for part in message.parts:
        length_s = getattr(part, "duration_s", 0.0)
        if length_s > limits.max_media_s:
            kind = "film" if isinstance(part, Video) else "sound"
            raise WireError(
                f"{where} holds a {kind} of {length_s:.1f} s; at most {limits.max_media_s:.0f} s (max_media_s)",
                param=where,
            )


def _make_message(
    answer: GuardedAnswer, text: str, speech: np.ndarray, images: list, sound_format: SoundFormat, is_spoken: bool
) -> dict[str, Any]:
    text = text.strip()
    if answer.refusal is not None:
        return {"role": "assistant", "content": None, "refusal": answer.refusal}
    pictures = [{"type": "image_url", "image_url": {"url": show_picture(image)}} for image in images]
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if pictures:
        message["content"] = [*([{"type": "text", "text": text}] if text else []), *pictures]
    if is_spoken:
        if not pictures:
            message["content"] = None
        message["audio"] = {
            "id": make_id("audio"),
            "data": base64.b64encode(encode(speech, sound_format)).decode(),
            "transcript": text,
            "expires_at": int(time.time()) + _AUDIO_LIFE_S,
        }
    return message


def _finish_reason(answer: GuardedAnswer) -> str:
    if answer.finding is not None:
        return "content_filter"
    return "length" if answer.is_cut_by_length else "stop"


def _usage(answer: GuardedAnswer) -> dict[str, Any]:
    usage = answer.usage
    return {
        "prompt_tokens": usage.num_in,
        "completion_tokens": usage.num_out,
        "total_tokens": usage.num_in + usage.num_out,
        "prompt_tokens_details": {
            "text_tokens": usage.input_text,
            "audio_tokens": usage.input_audio,
            "image_tokens": usage.input_image,
        },
        "completion_tokens_details": {"text_tokens": usage.output_text, "audio_tokens": usage.output_audio},
    }


def _envelope(answer: GuardedAnswer, model: str, message: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(answer), "logprobs": None}
    return {
        "id": make_id("chatcmpl"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": _usage(answer),
    }


async def _stream(answer: GuardedAnswer, model: str, is_spoken: bool, include_usage: bool) -> AsyncIterator[str]:
    head = {"id": make_id("chatcmpl"), "object": "chat.completion.chunk", "created": int(time.time()), "model": model}

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return json.dumps({**head, "choices": [choice]})

    yield chunk({"role": "assistant", **({} if is_spoken else {"content": ""})})
    audio_id = make_id("audio")
    async for piece in answer.pieces():
        for delta in _make_deltas(piece, audio_id, is_spoken):
            yield chunk(delta)
    if answer.refusal is not None:
        yield chunk({"refusal": answer.refusal})
    elif is_spoken:
        yield chunk({"audio": {"id": audio_id, "expires_at": int(time.time()) + _AUDIO_LIFE_S}})
    yield chunk({}, _finish_reason(answer))
    if include_usage:
        yield json.dumps({**head, "choices": [], "usage": _usage(answer)})
    yield "[DONE]"


def _make_deltas(piece: AnswerDelta, audio_id: str, is_spoken: bool) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = []
    if piece.text:
        deltas.append({"audio": {"id": audio_id, "transcript": piece.text}} if is_spoken else {"content": piece.text})
    if piece.pcm is not None and is_spoken:
        data = base64.b64encode(encode_sound(piece.pcm, "audio/pcm")).decode()
        deltas.append({"audio": {"id": audio_id, "data": data}})
    if piece.image is not None:
        deltas.append({"content": [{"type": "image_url", "image_url": {"url": show_picture(piece.image)}}]})
    return deltas
