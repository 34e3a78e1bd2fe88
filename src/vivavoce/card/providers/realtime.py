"""`viva-realtime/MODEL`: the Realtime WebSocket, sound fed at real pace, latency measured as the card's reference defines it.

`t0` is the moment the last voiced sample of the input was due on the wire, `t1` the arrival of the first audible output
sample, its place inside its packet included. Silence goes on after the speech, as from an open microphone.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import openai
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput
from inspect_ai.tool import ToolChoice, ToolInfo
from websockets.exceptions import WebSocketException

from vivavoce.card.providers.answering import (
    OUTPUT_RATE_HZ,
    TIMEOUT_S,
    Request,
    check_address,
    fail,
    make_output,
    read_request,
    refuse_arguments,
)
from vivavoce.card.speech import AUDIBLE_RMS, find_audible_span
from vivavoce.content import Audio, Message
from vivavoce.errors import ConfigError
from vivavoce.media import resample

FRAME_S = 0.02
"""Seconds of sound a packet."""
ENDPOINTING = ("server_vad", "push_to_talk")


class RealtimeAPI(ModelAPI):
    """See the module docstring.

    Model arguments: endpointing (`server_vad`, the default, or `push_to_talk`, which commits at t0), pace (1 is real time;
    more feeds faster, and latency is then left out), voice, timeout_s.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        endpointing: str = "server_vad",
        pace: float = 1.0,
        voice: str | None = None,
        timeout_s: float = TIMEOUT_S,
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, ["VIVA_REALTIME_API_KEY"], config or GenerateConfig())
        refuse_arguments(type(self), model_args)
        if endpointing not in ENDPOINTING:
            raise ConfigError(f"endpointing is {endpointing!r}; allowed: {', '.join(ENDPOINTING)}")
        if pace <= 0:
            raise ConfigError(f"pace is {pace}; need more than 0, 1 for real time")
        base_url = check_address(base_url or os.environ.get("VIVA_REALTIME_BASE_URL") or "http://127.0.0.1:8000/v1")
        self.client = openai.AsyncOpenAI(base_url=base_url, api_key=self.api_key or "none", max_retries=0)
        self.endpointing, self.pace, self.voice, self.timeout_s = endpointing, pace, voice, timeout_s

    async def aclose(self) -> None:
        await self.client.close()

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        request = read_request(input, config)
        call = _Call(self, request)
        try:
            async with (
                asyncio.timeout(self.timeout_s),
                self.client.realtime.connect(model=self.model_name) as connection,
            ):
                await call.run(connection)
        except TimeoutError as error:
            raise fail("timeout", f"{self.client.base_url} did not finish in {self.timeout_s:.0f} s") from error
        except (OSError, WebSocketException, openai.APIConnectionError) as error:
            raise fail(
                "endpoint_down", f"cannot talk to {self.client.base_url} ({error}); is the server up?"
            ) from error
        audio = Audio(np.concatenate(call.sound), OUTPUT_RATE_HZ) if call.sound else None
        return make_output(self.model_name, call.text, audio, request=request, metadata=call.measure())

    def max_connections(self) -> int:
        return 1

    def should_retry(self, ex: Exception) -> bool:
        return False


@dataclass
class _Call:
    """One answer over one connection."""

    api: RealtimeAPI
    request: Request
    text: str = ""
    sound: list[np.ndarray] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    started: float = 0.0
    t0: float | None = None
    first_text: float | None = None
    barge_started: float | None = None
    cut_at: float | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    playing: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, connection: Any) -> None:
        """Set the session up, replay the talk so far, feed the last turn, and collect until the answer is done."""
        spoken = self.request.conversation.messages[-1].parts_of(Audio)
        await connection.session.update(session=self._session())
        for message in self.request.conversation.messages[: -1 if spoken else None]:
            if message.role != "system":
                await connection.conversation.item.create(item=_to_item(message))
        collector = asyncio.create_task(self._collect(connection))
        try:
            self.started = time.monotonic()
            if spoken:
                await self._feed(connection, spoken[0])
            else:
                self.t0 = time.monotonic()
                await connection.response.create()
                await self.done.wait()
        finally:
            if collector.done() and collector.exception() is not None:
                collector.result()
            collector.cancel()

    def _session(self) -> dict[str, Any]:
        listens_itself = self.api.endpointing == "server_vad"
        system = [message.text for message in self.request.conversation.messages if message.role == "system"]
        session: dict[str, Any] = {
            "type": "realtime",
            "output_modalities": ["audio" if self.request.wants_audio else "text"],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": OUTPUT_RATE_HZ},
                    "turn_detection": {"type": "server_vad"} if listens_itself else None,
                },
                "output": {"format": {"type": "audio/pcm", "rate": OUTPUT_RATE_HZ}},
            },
        }
        if system:
            session["instructions"] = "\n".join(system)
        voice = self.request.voice or self.api.voice
        if voice:
            session["audio"]["output"]["voice"] = voice
        return session

    async def _feed(self, connection: Any, audio: Audio) -> None:
        wave = resample(audio, OUTPUT_RATE_HZ)
        span = find_audible_span(wave)
        voiced_end_s = span[1] if span else wave.duration_s
        await self._send(connection, wave.samples[: round(voiced_end_s * OUTPUT_RATE_HZ)])
        self.t0 = time.monotonic()
        if self.api.endpointing != "server_vad":
            await connection.input_audio_buffer.commit()
            await connection.response.create()
            await self.done.wait()
            return
        barge_after_s = self.request.extra.get("barge_in_after_s")
        silence = np.zeros(round(FRAME_S * OUTPUT_RATE_HZ), np.float32)
        while not self.done.is_set():
            if barge_after_s is not None and self.playing.is_set() and self.barge_started is None:
                await self._send(connection, np.zeros(round(barge_after_s * OUTPUT_RATE_HZ), np.float32))
                self.barge_started = time.monotonic() + (span[0] if span else 0.0) / self.api.pace
                await self._send(connection, wave.samples)
            await self._send(connection, silence)

    async def _send(self, connection: Any, samples: np.ndarray) -> None:
        """Packets of 20 ms, each at its due time on a monotonic clock."""
        size = round(FRAME_S * OUTPUT_RATE_HZ)
        start = time.monotonic()
        for idx, place in enumerate(range(0, len(samples), size)):
            pcm = (np.clip(samples[place : place + size], -1, 1) * 32767).astype("<i2").tobytes()
            await connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())
            due = start + (idx + 1) * FRAME_S / self.api.pace
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _collect(self, connection: Any) -> None:
        try:
            async for event in connection:
                self._take(event)
                if self.done.is_set():
                    return
            raise fail("endpoint_down", f"{self.api.client.base_url} closed the connection before the answer was done")
        finally:
            self.done.set()

    def _take(self, event: Any) -> None:
        now = time.monotonic()
        match event.type:
            case "response.output_audio.delta":
                pcm = base64.b64decode(event.delta)
                samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float32) / 32768
                self.sound.append(samples)
                self.arrivals.append(now)
                if np.abs(samples).max(initial=0) > AUDIBLE_RMS:
                    self.playing.set()
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                self.first_text = self.first_text or now
                self.text += event.delta
            case "input_audio_buffer.speech_started":
                if self.barge_started is not None and self.cut_at is None and now >= self.barge_started:
                    self.cut_at = now
            case "response.done":
                status = event.response.status
                if status == "failed":
                    raise fail("bad_answer", f"the response failed: {event.response.status_details}")
                if status == "cancelled" and self.barge_started is None and not self.sound:
                    return  # cut by the endpointer before it began; the next response is the answer
                self.done.set()
            case "error":
                raise fail(
                    "bad_answer", f"the server says {event.error.code or event.error.type}: {event.error.message}"
                )

    def measure(self) -> dict[str, Any]:
        """Seconds: first byte, first text, first audible sample after t0; real-time factor; barge-in stop."""
        facts: dict[str, Any] = {"endpointing": self.api.endpointing, "pace": self.api.pace, "frame_s": FRAME_S}
        if self.t0 is None or self.api.pace != 1.0:
            return facts
        if self.first_text is not None:
            facts["first_text_s"] = round(self.first_text - self.t0, 4)
        if not self.sound:
            return facts
        facts["first_byte_s"] = round(self.arrivals[0] - self.t0, 4)
        for samples, arrival in zip(self.sound, self.arrivals):
            loud = np.flatnonzero(np.abs(samples) > AUDIBLE_RMS)
            if len(loud):
                facts["latency_s"] = round(arrival + loud[0] / OUTPUT_RATE_HZ - self.t0, 4)
                break
        total_s = sum(map(len, self.sound)) / OUTPUT_RATE_HZ
        if len(self.arrivals) > 1:
            facts["real_time_factor"] = round((self.arrivals[-1] - self.arrivals[0]) / total_s, 4)
        if self.barge_started is not None:
            facts["barge_in_stop_s"] = round(self._find_last_heard() - self.barge_started, 4)
        return facts

    def _find_last_heard(self) -> float:
        """When a client that plays in order and drops what is queued on `speech_started` falls silent."""
        clock = 0.0
        for samples, arrival in zip(self.sound, self.arrivals):
            clock = max(clock, arrival) + len(samples) / OUTPUT_RATE_HZ
        return clock if self.cut_at is None else min(clock, self.cut_at)


def _to_item(message: Message) -> dict[str, Any]:
    if message.role == "assistant":
        return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": message.text}]}
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, Audio):
            wave = resample(part, OUTPUT_RATE_HZ).samples
            pcm = (np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes()
            parts.append({"type": "input_audio", "audio": base64.b64encode(pcm).decode()})
    if message.text:
        parts.append({"type": "input_text", "text": message.text})
    return {"type": "message", "role": "user", "content": parts}
