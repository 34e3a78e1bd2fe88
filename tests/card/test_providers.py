"""Our providers against an OpenAI-like server on loopback, one that can misbehave; sound goes over the wire and back."""

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, Response
from inspect_ai.model import ChatMessage, ChatMessageUser, GenerateConfig, get_model

from vivavoce.card.media_store import ENVIRONMENT_VARIABLE, MediaStore
from vivavoce.card.providers.answering import read_reason
from vivavoce.card.tone_studio import ToneStudio
from vivavoce.content import Audio
from vivavoce.errors import EndpointError
from vivavoce.media import encode_wav, read_audio, resample

STUDIO = ToneStudio()
AUDIO_REQUEST = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}


def _speak(text: str, rate_hz: int = 24_000) -> Audio:
    return resample(STUDIO.speak(text, STUDIO.preset_voice), rate_hz)


def _make_app() -> FastAPI:
    app, counts = FastAPI(), {"busy": 0}

    @app.post("/v1/chat/completions")
    async def chat(request: Request):
        body = await request.json()
        kind = body["model"]
        if kind == "busy":
            counts["busy"] += 1
            if counts["busy"] == 1:
                return JSONResponse({"error": {"message": "slow down"}}, status_code=429)
        if kind == "always_busy":
            return JSONResponse({"error": {"message": "slow down"}}, status_code=429)
        if kind == "ill":
            return JSONResponse({"error": {"message": "out of memory"}}, status_code=500)
        if kind == "broken":
            return JSONResponse({"error": {"message": "no such model"}}, status_code=404)
        if kind == "slow":
            await asyncio.sleep(3)
        part = body["messages"][-1]["content"]
        heard = part if isinstance(part, str) else ""
        if not isinstance(part, str):
            data = base64.b64decode(next(p for p in part if p["type"] == "input_audio")["input_audio"]["data"])
            heard = STUDIO.recognise(read_audio(data)) or ""
        text = f"i heard {heard}"
        message: dict = {"role": "assistant", "content": text}
        if "audio" in body.get("modalities", []) and kind != "mute":
            wav = encode_wav(_speak(text, 8_000 if kind == "narrow" else 24_000))
            wav = wav[: len(wav) // 3] if kind == "cut" else wav
            message["audio"] = {
                "id": "a", "data": base64.b64encode(wav).decode(), "expires_at": 0, "transcript": text,
            }  # fmt: skip
            message["content"] = None
        if body.get("stream"):
            chunk = {
                "id": "x", "object": "chat.completion.chunk", "created": 0, "model": kind,
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            }  # fmt: skip
            return Response(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n", media_type="text/event-stream")
        return {
            "id": "x", "object": "chat.completion", "created": 0, "model": kind,
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        }  # fmt: skip

    @app.websocket("/v1/realtime")
    async def realtime(socket: WebSocket) -> None:
        await socket.accept()
        await _serve_realtime(socket)

    return app


async def _serve_realtime(socket: WebSocket) -> None:
    """Answers 0.15 s after three silent packets, with 0.1 s of silence before the first audible sample."""
    pcm, silent, answered = bytearray(), 0, False
    response = {"object": "realtime.response", "id": "r", "status": "completed", "output": []}
    while True:
        event = await socket.receive_json()
        if event["type"] != "input_audio_buffer.append" or answered:
            continue
        packet = base64.b64decode(event["audio"])
        pcm += packet
        silent = silent + 1 if not np.frombuffer(packet, "<i2").any() else 0
        if silent < 3:
            continue
        answered = True
        samples = np.frombuffer(bytes(pcm), "<i2").astype(np.float32) / 32768
        heard = STUDIO.recognise(Audio(samples, 24_000))
        await asyncio.sleep(0.15)
        answer = np.concatenate([np.zeros(2400, np.float32), _speak(f"i heard {heard}").samples])
        base = {"event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
        delta = base64.b64encode((answer * 32767).astype("<i2").tobytes()).decode()
        await socket.send_json({"type": "response.output_audio_transcript.delta", "delta": f"i heard {heard}", **base})
        await socket.send_json({"type": "response.output_audio.delta", "delta": delta, **base})
        await socket.send_json({"type": "response.done", "event_id": "e", "response": response})


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    bound = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(_make_app(), log_level="error"))
    thread = threading.Thread(target=running.run, args=([bound],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not running.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
    running.should_exit = True
    thread.join(30)
    bound.close()


@pytest.fixture(autouse=True)
def media(tmp_path, monkeypatch: pytest.MonkeyPatch) -> MediaStore:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    return MediaStore(tmp_path)


def _say(media: MediaStore, text: str) -> list:
    return [ChatMessageUser(content=[media.to_content(STUDIO.speak(text, STUDIO.voices[0]))])]


async def _ask(name: str, url: str, messages: list, *, spoken: bool = True, **arguments):
    model = get_model(name, base_url=url, memoize=False, **arguments)
    config = GenerateConfig(extra_body=AUDIO_REQUEST if spoken else None, max_retries=2)
    try:
        return await model.generate(messages, config=config)
    finally:
        await model.api.aclose()


async def test_chat_sends_sound_and_gets_sound_back(server: str, media: MediaStore) -> None:
    output = await _ask("viva-chat/good", server, _say(media, "red ball"))
    assert output.completion == "i heard red ball"
    sound = output.message.content[1]
    heard = STUDIO.recognise(media.from_content(sound))  # type: ignore[arg-type]
    assert heard == "i heard red ball"
    assert output.usage is not None
    assert output.usage.total_tokens == 3


async def test_chat_in_text_asks_for_no_sound(server: str) -> None:
    output = await _ask("viva-chat/good", server, [ChatMessageUser(content="red ball")], spoken=False)
    assert output.completion == "i heard red ball"


@pytest.mark.parametrize("stream", [False, True])
def test_one_model_answers_in_every_event_loop(server: str, stream: bool) -> None:
    """Inspect keeps the model and opens a loop an evaluation: a connection kept from the first would be dead in the second."""
    model = get_model("viva-chat/good", base_url=server, memoize=False, stream=stream)

    async def ask() -> list[str]:
        asked: list[list[ChatMessage]] = [[ChatMessageUser(content=word)] for word in ("red", "green", "blue")]
        config = GenerateConfig(max_retries=0)
        return [
            output.completion for output in await asyncio.gather(*(model.generate(one, config=config) for one in asked))
        ]

    for _ in range(3):
        assert asyncio.run(ask()) == ["i heard red", "i heard green", "i heard blue"]


async def test_a_rate_limit_is_waited_out(server: str, media: MediaStore) -> None:
    output = await _ask("viva-chat/busy", server, _say(media, "red ball"))
    assert output.completion == "i heard red ball"


@pytest.mark.parametrize(("kind", "reason"), [("always_busy", "rate_limited"), ("ill", "bad_answer")])
async def test_an_endpoint_that_never_recovers_has_a_reason_when_retries_are_spent(
    server: str, media: MediaStore, kind: str, reason: str
) -> None:
    model = get_model(f"viva-chat/{kind}", base_url=server, memoize=False)
    try:
        with pytest.raises(Exception) as caught:
            await model.generate(_say(media, "red ball"), config=GenerateConfig(max_retries=0))
    finally:
        await model.api.aclose()
    assert read_reason(caught.value) == reason, repr(caught.value)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("mute", "no_audio"), ("narrow", "wrong_rate"), ("cut", "truncated_audio"), ("broken", "bad_answer")],
)
async def test_a_wrong_answer_has_a_reason(server: str, media: MediaStore, kind: str, reason: str) -> None:
    with pytest.raises(EndpointError, match=f"^{reason}: "):
        await _ask(f"viva-chat/{kind}", server, _say(media, "red ball"))


async def test_a_slow_endpoint_and_one_that_is_down_have_reasons(server: str, media: MediaStore) -> None:
    with pytest.raises(EndpointError, match=r"^timeout: "):
        await _ask("viva-chat/slow", server, _say(media, "red ball"), timeout_s=0.5)
    with pytest.raises(EndpointError, match=r"^endpoint_down: "):
        await _ask("viva-chat/good", "http://127.0.0.1:9/v1", _say(media, "red ball"))


async def test_realtime_measures_from_the_last_voiced_sample_to_the_first_audible_one(
    server: str, media: MediaStore
) -> None:
    output = await _ask("viva-realtime/good", server, _say(media, "red ball"))
    assert output.completion == "i heard red ball"
    facts = output.metadata or {}
    # three packets of silence, 0.15 s of thought, 0.1 s of silence at the head of the answer; no upper bound is asserted
    assert facts["latency_s"] >= 0.06 + 0.15 + 0.1 - 0.04
    assert facts["latency_s"] - facts["first_byte_s"] == pytest.approx(0.1, abs=0.01)
    assert facts["endpointing"] == "server_vad"


async def test_faster_than_life_gives_no_latency(server: str, media: MediaStore) -> None:
    output = await _ask("viva-realtime/good", server, _say(media, "red ball"), pace=4.0)
    assert "latency_s" not in (output.metadata or {})


async def test_the_cascade_hears_asks_and_speaks(media: MediaStore) -> None:
    model = get_model("viva-cascade/viva-fake/echo", studio="tones", memoize=False)
    output = await model.generate(_say(media, "red ball"), config=GenerateConfig(extra_body=AUDIO_REQUEST))
    assert output.completion == "You said: red ball"
    assert (output.metadata or {})["recognised"] == "red ball"


async def test_the_model_under_examination_is_not_told_what_is_said(media: MediaStore) -> None:
    from vivavoce.card.providers.answering import read_request

    request = read_request(_say(media, "red ball"), GenerateConfig())
    assert request.conversation.messages[0].parts_of(Audio)[0].transcript is None
