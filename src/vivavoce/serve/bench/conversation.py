"""One measured turn: a recorded question streamed at 1x, the answer's arrival on one clock, playback simulated.

What each figure is measured from stands in `listening`. Waiting for the end of the turn is part of the wait. Source of the
metric: reference, 4.5.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed

from vivavoce.errors import EndpointError
from vivavoce.serve.bench.listening import (
    RATE_HZ,
    Parts,
    Reply,
    count_underruns,
    find_answer,
    find_loud,
    find_sounding,
    gather_replies,
    is_false_start,
    measure_parts,
    measure_stop,
    measure_wait,
    note_event,
)
from vivavoce.serve.sound import encode_sound

CHUNK_S = 0.02
TALK_OVER_S = 0.5
"""An interruption's first voiced sample comes this long after the answer's first delta. chosen."""
LONGEST_ANSWER_S = 30.0
TRANSCRIPT_S = 0.9
"""The transcript of the user comes some steps after the turn."""


@dataclass(frozen=True, slots=True)
class Question:
    """A recording to ask. samples: [S] float32 at 24 kHz."""

    name: str
    samples: np.ndarray
    text: str = ""

    @property
    def first_voiced_s(self) -> float:
        """Time of the first 10 ms that are louder than -45 dB; 0 if none are."""
        loud = np.flatnonzero(find_loud(self.samples))
        return int(loud[0]) * 0.01 if len(loud) else 0.0

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


@dataclass(slots=True)
class Turn:
    """What was measured in one turn. Times in seconds; None where it did not happen. Definitions: `listening`."""

    question: str
    wait_s: float | None = None
    """Last voiced sample to first audible sample of the answer."""
    first_delta_s: float | None = None
    """The same to the first delta of the answer, audible or not."""
    parts: Parts | None = None
    """What the wait was made of."""
    false_start: bool = False
    """The model spoke before the question was over."""
    spoken_s: float = 0.0
    underruns: int = 0
    met_speech: bool = False
    """An interruption began while the model spoke."""
    stop_s: float | None = None
    """First voiced sample of the interruption to the end of the reply, if that was cancelled for it."""
    transcript: str = ""
    answer: str = ""
    error: str | None = None


class Conversation:
    """A connection that can be measured turn after turn. Use as `async with`."""

    def __init__(self, client: Any, *, turn_detection: dict[str, Any], model: str = "vivavoce") -> None:
        self._client = client
        self._turn_detection = turn_detection
        self._model = model
        self._events: list[tuple[float, Any]] = []
        self._replies: dict[str, Reply] = {}
        self._changed = asyncio.Event()
        self._sent: list[tuple[float, float]] = []
        """When each chunk was handed over, and how much sound had been sent with it, in seconds."""

    async def __aenter__(self) -> Conversation:
        self._manager = self._client.realtime.connect(model=self._model)
        self._connection = await self._manager.__aenter__()
        heard = {"turn_detection": self._turn_detection, "transcription": {"model": "own"}}
        # a server that takes nobody may have closed already; what it said of that is read below
        with contextlib.suppress(ConnectionClosed):
            await self._connection.session.update(session={"type": "realtime", "audio": {"input": heard}})
        self._reader = asyncio.create_task(self._read())
        is_updated = await self._wait_until(
            lambda: any(event.type == "session.updated" for _, event in self._events), time.monotonic() + 30.0
        )
        if not is_updated:
            said = [event.error.message for _, event in self._events if event.type == "error"]
            self._reader.cancel()
            await self._manager.__aexit__(None, None, None)
            raise EndpointError(f"the server takes no conversation: {said[-1] if said else 'it does not answer'}")
        return self

    async def __aexit__(self, *error: object) -> None:
        self._reader.cancel()
        await self._manager.__aexit__(*error)

    async def _read(self) -> None:
        async for event in self._connection:
            now_s = time.monotonic()
            self._events.append((now_s, event))
            note_event(self._replies, now_s, event)
            self._changed.set()

    async def _wait_until(self, is_so: Callable[[], bool], deadline_s: float) -> bool:
        while not is_so():
            left_s = deadline_s - time.monotonic()
            if self._reader.done() or left_s <= 0:
                return False
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left_s)
            except TimeoutError:
                return is_so()
        return True

    def _answer(self, ended_s: float) -> Reply | None:
        return find_answer(self._replies.values(), ended_s)

    async def ask(self, question: Question, *, answer_wait_s: float = 6.0, barge_in: Question | None = None) -> Turn:
        """Stream a question and then silence until the answer is over; with `barge_in`, talk over the answer.

        The microphone stays open until the question is over, also where the model speaks into it.
        """
        self._events.clear()
        self._replies.clear()
        turn = Turn(question.name)
        before_s = self._sent[-1][1] if self._sent else 0.0
        start_s = time.monotonic()
        ended_s = start_s + question.last_voiced_s
        microphone = asyncio.create_task(self._stream(question.samples, start_s))
        deadline_s = start_s + len(question.samples) / RATE_HZ + answer_wait_s
        is_answered = await self._wait_until(lambda: self._answer(ended_s) is not None, deadline_s)
        onset_s = None
        if is_answered and barge_in is not None:
            microphone, onset_s = await self._talk_over(microphone, barge_in, ended_s)
        longest_s = time.monotonic() + LONGEST_ANSWER_S
        await self._wait_until(lambda: all(reply.done_s is not None for reply in self._replies.values()), longest_s)
        await asyncio.sleep(TRANSCRIPT_S)
        microphone.cancel()
        measure(turn, self._events, ended_s, onset_s)
        turn.parts = measure_parts(self._events, self._sent, ended_s, before_s + question.last_voiced_s)
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
            self._sent.append((time.monotonic(), (self._sent[-1][1] if self._sent else 0.0) + CHUNK_S))
            await self._connection.input_audio_buffer.append(audio=data)
            idx += 1

    async def _talk_over(
        self, microphone: asyncio.Task[None], barge_in: Question, ended_s: float
    ) -> tuple[asyncio.Task[None], float]:
        """Interrupt the answer, to the interruption's end and until the model has fallen silent; the open microphone
        and when the first voiced sample began."""
        answer = self._answer(ended_s)
        assert answer is not None
        assert answer.begun_s is not None
        onset_s = answer.begun_s + TALK_OVER_S
        await asyncio.sleep(max(0.0, onset_s - time.monotonic()))
        microphone.cancel()
        # without its leading silence, which a short answer might not outlast
        samples = barge_in.samples[round(barge_in.first_voiced_s * RATE_HZ) :]
        onset_s = time.monotonic()
        talking = asyncio.create_task(self._stream(samples, onset_s))
        await asyncio.sleep(len(samples) / RATE_HZ + 2.5)
        return talking, onset_s


def measure(turn: Turn, events: list[tuple[float, Any]], ended_s: float, onset_s: float | None) -> None:
    """Fill in `turn` from what came. onset_s: the interruption's first voiced sample, if there was one."""
    replies = gather_replies(events)
    answer = find_answer(replies, ended_s)
    turn.spoken_s = sum(len(pcm) for reply in replies for _, pcm in reply.deltas) / RATE_HZ
    turn.underruns = count_underruns(events)
    turn.false_start = is_false_start(replies, ended_s)
    turn.wait_s = measure_wait(replies, ended_s)
    turn.first_delta_s = answer.begun_s - ended_s if answer is not None and answer.begun_s is not None else None
    if onset_s is not None:
        turn.met_speech = find_sounding(replies, onset_s) is not None
        turn.stop_s = measure_stop(replies, onset_s)
    kinds = [event for _, event in events]
    turn.transcript = " ".join(e.transcript for e in kinds if e.type.endswith("input_audio_transcription.completed"))
    turn.answer = " ".join(e.transcript for e in kinds if e.type == "response.output_audio_transcript.done")
