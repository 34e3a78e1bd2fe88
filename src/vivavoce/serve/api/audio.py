"""`POST /v1/audio/speech` and `/v1/audio/transcriptions`."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from vivavoce.content import Conversation, user
from vivavoce.media import read_audio
from vivavoce.omni.engine_protocol import AnswerRequest
from vivavoce.serve.api.answers import GuardedAnswer, collect
from vivavoce.serve.api.encoding import MEDIA_TYPES, encode, open_wav
from vivavoce.serve.api.errors import ERRORS
from vivavoce.serve.api.shared import get_worker, run_decoding, send_events
from vivavoce.serve.settings import check_text, read_voice
from vivavoce.serve.sound import encode_sound
from vivavoce.serve.wire import WireError

router = APIRouter(tags=["audio"])


class SpeechRequest(BaseModel):
    """Text to read aloud."""

    model: str
    input: str = Field(min_length=1)
    voice: str | dict[str, Any] = "alloy"
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(1.0, ge=1.0, le=1.0, description="The model speaks at its own pace.")
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: str | None = Field(None, description="Taken, and without effect: there is one manner of speaking.")


@router.post(
    "/v1/audio/speech",
    response_class=Response,
    responses={
        **ERRORS,
        200: {
            "description": "The sound, or with `stream_format: sse` events `speech.audio.delta` and `speech.audio.done`",
            "content": {
                media: {"schema": {"type": "string", "format": "binary"}} for media in sorted({*MEDIA_TYPES.values()})
            }
            | {"text/event-stream": {}},
        },
    },
)
async def read_aloud(body: SpeechRequest, request: Request):
    """Read a text aloud in the preset voice. `pcm` and `wav` are sent as they are spoken, other formats when whole."""
    worker = get_worker(request)
    check_text(body.input, "input", worker.limits.max_text_chars)
    read_voice(body.voice if isinstance(body.voice, str) else None, worker.engine.voices, "voice")
    if not body.input.strip():
        raise WireError("input is blank; give some text", param="input")
    is_streamed = body.stream_format == "sse" or body.response_format in ("pcm", "wav")
    if body.stream_format == "sse" and body.response_format not in ("pcm", "wav", "mp3"):
        raise WireError(
            f"response_format is {body.response_format!r} with stream_format sse; events carry pcm",
            param="response_format",
        )
    spoken = AnswerRequest(
        conversation=Conversation((user(body.input),)),
        outputs=frozenset({"audio"}),
        task="read",
        is_streamed=is_streamed,
    )
    answer = GuardedAnswer(worker, spoken)
    await answer.start()
    if answer.finding is not None:
        raise _refused(answer)
    if body.stream_format == "sse":
        return StreamingResponse(send_events(_stream_events(answer)), media_type="text/event-stream")
    if is_streamed:
        media_type = MEDIA_TYPES[body.response_format]
        return StreamingResponse(_stream_sound(answer, body.response_format), media_type=media_type)
    _, speech, _ = await collect(answer)
    if answer.finding is not None:
        raise _refused(answer)
    data = await run_decoding(encode, speech, body.response_format)
    return Response(data, media_type=MEDIA_TYPES[body.response_format])


def _refused(answer: GuardedAnswer) -> WireError:
    return WireError(answer.refusal or "refused", code="content_filter", param="input")


async def _stream_sound(answer: GuardedAnswer, sound_format: str) -> AsyncIterator[bytes]:
    if sound_format == "wav":
        yield open_wav()
    async for piece in answer.pieces():
        if piece.pcm is not None:
            yield encode_sound(piece.pcm, "audio/pcm")


async def _stream_events(answer: GuardedAnswer) -> AsyncIterator[str]:
    async for piece in answer.pieces():
        if piece.pcm is not None:
            data = base64.b64encode(encode_sound(piece.pcm, "audio/pcm")).decode()
            yield json.dumps({"type": "speech.audio.delta", "audio": data})
    total = answer.usage.num_in + answer.usage.num_out
    usage = {"input_tokens": answer.usage.num_in, "output_tokens": answer.usage.num_out, "total_tokens": total}
    yield json.dumps({"type": "speech.audio.done", "usage": usage})


class Transcription(BaseModel):
    """What was said."""

    text: str
    usage: dict[str, Any] | None = None


class VerboseTranscription(BaseModel):
    """What was said, with its length."""

    text: str
    task: Literal["transcribe"]
    language: str
    duration: float
    segments: list[dict[str, Any]]
    usage: dict[str, Any] | None = None


@router.post(
    "/v1/audio/transcriptions",
    response_model=Transcription | VerboseTranscription,
    responses={
        **ERRORS,
        200: {
            "description": "The words, in the format asked for",
            "content": {"text/plain": {"schema": {"type": "string"}}, "text/event-stream": {}},
        },
    },
)
async def transcribe(
    request: Request,
    file: Annotated[UploadFile, File(description="wav, flac, ogg or mp3")],
    model: Annotated[str, Form()],
    response_format: Annotated[Literal["json", "text", "verbose_json", "srt", "vtt"], Form()] = "json",
    stream: Annotated[bool, Form()] = False,
    language: Annotated[str | None, Form(description="Only `en` is understood.")] = None,
):
    """Write down what is said in a recording."""
    worker = get_worker(request)
    if language is not None and not language.lower().startswith("en"):
        raise WireError(f"language is {language!r:.40}; the model understands English (en) only", param="language")
    data = await file.read()
    audio = await run_decoding(read_audio, data, max_s=worker.limits.max_media_s)
    conversation = Conversation((user(audio),))
    heard = AnswerRequest(conversation=conversation, outputs=frozenset({"text"}), task="transcribe", is_streamed=stream)
    answer = GuardedAnswer(worker, heard)
    await answer.start()
    if stream:
        return StreamingResponse(send_events(_stream_transcript(answer)), media_type="text/event-stream")
    text, _, _ = await collect(answer)
    text = text.strip()
    usage = {"type": "duration", "seconds": round(audio.duration_s, 3)}
    match response_format:
        case "text":
            return PlainTextResponse(text + "\n")
        case "srt":
            return PlainTextResponse(f"1\n{_time(0.0, ',')} --> {_time(audio.duration_s, ',')}\n{text}\n")
        case "vtt":
            return PlainTextResponse(f"WEBVTT\n\n{_time(0.0, '.')} --> {_time(audio.duration_s, '.')}\n{text}\n")
        case "verbose_json":
            segment = {"id": 0, "start": 0.0, "end": audio.duration_s, "text": text}
            shown = {"task": "transcribe", "language": "english", "duration": audio.duration_s, "segments": [segment]}
            return JSONResponse({"text": text, **shown, "usage": usage})
    return JSONResponse({"text": text, "usage": usage})


async def _stream_transcript(answer: GuardedAnswer) -> AsyncIterator[str]:
    text = ""
    async for piece in answer.pieces():
        if piece.text:
            text += piece.text
            yield json.dumps({"type": "transcript.text.delta", "delta": piece.text})
    yield json.dumps({"type": "transcript.text.done", "text": text.strip()})


def _time(seconds: float, mark: str) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:02d}:{minutes:02d}:{int(rest):02d}{mark}{int(rest % 1 * 1000):03d}"
