"""One measured turn: a recorded question streamed at 1x, the answer's arrival on one clock, playback simulated.

The end of the question is the time its last voiced sample was sent; the first audible sample is the first 10 ms of the
answer above -45 dB. Waiting for the end of the turn is therefore part of the wait. Source of the metric: reference, 4.5.
"""

from __future__ import annotations

import asyncio
import base64
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vivavoce.serve.sound import encode_sound

CHUNK_S = 0.02
RATE_HZ = 24_000
AUDIBLE_DB = -45.0
PLAYOUT_LEAD_S = 0.1
"""What a player holds back before it starts; a delta that comes later than its moment is an underrun. chosen."""


@dataclass(frozen=True, slots=True)
class Question:
    """A recording to ask. samples: [S] float32 at 24 kHz; last_voiced_s: where its speech ends; pauses inside of it."""

    name: str
    samples: np.ndarray
    text: str = ""

    @property
    def last_voiced_s(self) -> float:
        """Time of the last sample that is louder than -45 dB over 10 ms."""
        loud = find_loud(self.samples)
        return (int(np.flatnonzero(loud)[-1]) + 1) * 0.01 if loud.any() else len(self.samples) / RATE_HZ

    @property
    def has_pause(self) -> bool:
        """Whether it has a pause of 0.3 s or more between its words."""
        loud = np.flatnonzero(find_loud(self.samples))
        return len(loud) > 1 and int(np.max(np.diff(loud))) >= 30


def find_loud(samples: np.ndarray) -> np.ndarray:
    """Which stretches of 10 ms of [S] samples at 24 kHz can be heard."""
    count = len(samples) // 240
    power = np.mean(np.square(samples[: count * 240].reshape(count, 240), dtype=np.float64), axis=1)
    return power > 10 ** (AUDIBLE_DB / 10)


@dataclass(slots=True)
class Turn:
    """What was measured in one turn. Times in seconds; None where it did not happen."""

    question: str
    wait_s: float | None = None
    """Last voiced sample sent to first audible sample received."""
    first_delta_s: float | None = None
    """The same to the first delta, audible or not."""
    false_start: bool = False
    """The model spoke before the question was over."""
    spoken_s: float = 0.0
    underruns: int = 0
    stop_s: float | None = None
    """Start of the barge-in to the server's last delta or its response.done, whichever is later."""
    transcript: str = ""
    answer: str = ""
    error: str | None = None


@dataclass(slots=True)
class _Ear:
    """What came in, and when."""

    deltas: list[tuple[float, np.ndarray]] = field(default_factory=list)
    events: list[tuple[float, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def times_of(self, kind: str) -> list[float]:
        return [at for at, event in self.events if event.type == kind]


class Conversation:
    """A connection that can be measured turn after turn. Use as `async with`."""

    def __init__(self, client: Any, *, turn_detection: dict[str, Any], model: str = "vivavoce") -> None:
        self._client = client
        self._turn_detection = turn_detection
        self._model = model
        self._ear = _Ear()

    async def __aenter__(self) -> Conversation:
        self._manager = self._client.realtime.connect(model=self._model)
        self._connection = await self._manager.__aenter__()
        heard = {"turn_detection": self._turn_detection, "transcription": {"model": "own"}}
        await self._connection.session.update(session={"type": "realtime", "audio": {"input": heard}})
        self._reader = asyncio.create_task(self._read())
        await self._wait_for("session.updated", 10.0)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._reader.cancel()
        await self._manager.__aexit__(*error)

    async def _read(self) -> None:
        async for event in self._connection:
            now = time.monotonic()
            if event.type == "response.output_audio.delta":
                pcm = np.frombuffer(base64.b64decode(event.delta), "<i2").astype(np.float32) / 32768
                self._ear.deltas.append((now, pcm))
            self._ear.events.append((now, event))
            self._ear.changed.set()

    async def _wait_for(self, kind: str, timeout_s: float, count: int = 1) -> bool:
        deadline = time.monotonic() + timeout_s
        while len(self._ear.times_of(kind)) < count:
            if self._reader.done() or time.monotonic() > deadline:
                return False
            self._ear.changed.clear()
            try:
                await asyncio.wait_for(self._ear.changed.wait(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return False
        return True

    async def ask(self, question: Question, *, answer_wait_s: float = 6.0, barge_in: Question | None = None) -> Turn:
        """Stream a question and then silence until the answer is over; with `barge_in`, talk over the answer."""
        self._ear.deltas.clear()
        self._ear.events.clear()
        turn = Turn(question.name)
        start_s = time.monotonic()
        microphone = asyncio.create_task(self._stream(question.samples, start_s))
        ended_s = start_s + question.last_voiced_s
        spoke = await self._wait_for("response.output_audio.delta", len(question.samples) / RATE_HZ + answer_wait_s)
        if spoke and barge_in is not None:
            await self._talk_over(microphone, barge_in, turn)
        if spoke:
            await self._wait_for("response.done", 30.0)
        # the false start may be followed by the real answer; the transcript comes some steps late
        await asyncio.sleep(0.9)
        microphone.cancel()
        self._measure(turn, ended_s)
        if self._reader.done():
            turn.error = "the connection ended"
        return turn

    async def _stream(self, samples: np.ndarray, start_s: float) -> None:
        """Send sound at 1x on a fixed schedule, and silence after it for ever: an open microphone."""
        size = int(CHUNK_S * RATE_HZ)
        silence = np.zeros(size, np.float32)
        idx = 0
        while True:
            chunk = samples[idx * size : (idx + 1) * size]
            chunk = np.pad(chunk, (0, size - len(chunk))) if len(chunk) else silence
            # a chunk exists once its last sample has been spoken
            await asyncio.sleep(max(0.0, start_s + (idx + 1) * CHUNK_S - time.monotonic()))
            data = base64.b64encode(encode_sound(chunk, "audio/pcm")).decode()
            await self._connection.input_audio_buffer.append(audio=data)
            idx += 1

    async def _talk_over(self, microphone: asyncio.Task[None], barge_in: Question, turn: Turn) -> None:
        await asyncio.sleep(0.5)
        microphone.cancel()
        start_s = time.monotonic()
        loud = np.flatnonzero(find_loud(barge_in.samples))
        onset_s = start_s + (int(loud[0]) * 0.01 if len(loud) else 0.0)
        talking = asyncio.create_task(self._stream(barge_in.samples, start_s))
        if await self._wait_for("response.done", 6.0):
            done_s = self._ear.times_of("response.done")[0]
            last = [at for at, _ in self._ear.deltas if at <= done_s]
            turn.stop_s = max([done_s, *last]) - onset_s
        await asyncio.sleep(max(0.0, start_s + len(barge_in.samples) / RATE_HZ - time.monotonic()))
        await asyncio.sleep(2.5)
        talking.cancel()

    def _measure(self, turn: Turn, ended_s: float) -> None:
        deltas = self._ear.deltas
        turn.spoken_s = sum(len(pcm) for _, pcm in deltas) / RATE_HZ
        turn.underruns = count_underruns(self._ear.events)
        done = [event for _, event in self._ear.events]
        turn.transcript = " ".join(e.transcript for e in done if e.type.endswith("input_audio_transcription.completed"))
        turn.answer = " ".join(e.transcript for e in done if e.type == "response.output_audio_transcript.done")
        if deltas:
            turn.first_delta_s = deltas[0][0] - ended_s
            turn.false_start = turn.first_delta_s < 0
        if not turn.false_start:
            turn.wait_s = find_first_audible(deltas, ended_s)


def find_first_audible(deltas: list[tuple[float, np.ndarray]], ended_s: float) -> float | None:
    """Wait until the first audible 10 ms, counting the silence in front of it in its delta."""
    for at, pcm in deltas:
        loud = np.flatnonzero(find_loud(pcm))
        if len(loud):
            return at + int(loud[0]) * 0.01 - ended_s
    return None


def count_underruns(events: list[tuple[float, Any]]) -> int:
    """Deltas that came after the moment a player, which starts `PLAYOUT_LEAD_S` after the first, needed them."""
    late = 0
    item, needed_s = None, 0.0
    for at, event in events:
        if event.type != "response.output_audio.delta":
            continue
        if event.item_id != item:
            item, needed_s = event.item_id, at + PLAYOUT_LEAD_S
        if at > needed_s:
            late += 1
            needed_s = at
        needed_s += len(base64.b64decode(event.delta)) / 2 / RATE_HZ
    return late
