"""What a turn's events come to: the wait, false starts, the stop after a barge-in, gaps. Pure; times are one clock's seconds.

Two moments are the talker's and known exactly, as the schedule of what is streamed fixes them: `ended_s`, when the last
voiced sample of the question has been spoken (it is sent with its chunk, up to 20 ms later; that is part of the wait),
and `onset_s`, when the first voiced sample of an interruption begins. Everything else is when an event arrived.

- wait: `ended_s` to the first audible 10 ms (above -45 dB) of the first reply whose sound began after `ended_s`.
- false start: some reply's sound began before `ended_s`. The turn may still be answered, once the question is over.
- stop: `onset_s` to `response.done` of the reply that was sounding at `onset_s`, if it was cancelled for the user. A reply
  that was over by `onset_s` leaves nothing to stop, and one that ends by itself was not stopped: neither has a stop time.
- underrun: a delta that came after a player that holds back 100 ms needed it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RATE_HZ = 24_000
AUDIBLE_DB = -45.0
PLAYOUT_LEAD_S = 0.1
"""What a player holds back before it starts; a delta that comes later than its moment is an underrun. chosen."""

Arrivals = Sequence[tuple[float, Any]]
"""Server events, in order, each with the time it came."""


def find_loud(samples: np.ndarray) -> np.ndarray:
    """Which stretches of 10 ms of [S] samples at 24 kHz can be heard."""
    count = len(samples) // 240
    power = np.mean(np.square(samples[: count * 240].reshape(count, 240), dtype=np.float64), axis=1)
    return power > 10 ** (AUDIBLE_DB / 10)


@dataclass(slots=True)
class Reply:
    """One response as it came in. deltas: arrival and [S] float32 at 24 kHz; done_s None while it goes on."""

    id: str
    deltas: list[tuple[float, np.ndarray]] = field(default_factory=list)
    done_s: float | None = None
    is_interrupted: bool = False
    """It was cancelled because the user spoke."""

    @property
    def begun_s(self) -> float | None:
        """Arrival of its first sound, audible or not."""
        return self.deltas[0][0] if self.deltas else None

    def first_audible_s(self) -> float | None:
        """When its first audible 10 ms is heard, counting the silence in front of it in its delta."""
        for at_s, pcm in self.deltas:
            loud = np.flatnonzero(find_loud(pcm))
            if len(loud):
                return at_s + int(loud[0]) * 0.01
        return None


def note_event(replies: dict[str, Reply], at_s: float, event: Any) -> None:
    """Add what `event` says to the replies by id, which stay in the order in which their first event came."""
    if event.type == "response.output_audio.delta":
        pcm = np.frombuffer(base64.b64decode(event.delta), "<i2").astype(np.float32) / 32768
        replies.setdefault(event.response_id, Reply(event.response_id)).deltas.append((at_s, pcm))
    elif event.type == "response.done":
        reply = replies.setdefault(event.response.id, Reply(event.response.id))
        details = event.response.status_details
        reply.done_s = at_s
        reply.is_interrupted = details is not None and details.reason == "turn_detected"


def gather_replies(events: Arrivals) -> list[Reply]:
    """The responses among `events`, in the order in which their first event came."""
    replies: dict[str, Reply] = {}
    for at_s, event in events:
        note_event(replies, at_s, event)
    return list(replies.values())


def find_answer(replies: Iterable[Reply], ended_s: float) -> Reply | None:
    """The first reply whose sound began once the question was over."""
    return next((reply for reply in replies if reply.begun_s is not None and reply.begun_s >= ended_s), None)


def is_false_start(replies: Iterable[Reply], ended_s: float) -> bool:
    """Whether some reply began to sound before the question was over."""
    return any(reply.begun_s is not None and reply.begun_s < ended_s for reply in replies)


def measure_wait(replies: Iterable[Reply], ended_s: float) -> float | None:
    """Seconds from the question's last voiced sample to the answer's first audible one; None if there is none."""
    answer = find_answer(replies, ended_s)
    heard_s = answer.first_audible_s() if answer else None
    return None if heard_s is None else heard_s - ended_s


@dataclass(frozen=True, slots=True)
class Parts:
    """What a wait was made of, in seconds; they add up to it.

    heard_s: of the user's sound, from its last voiced sample to the last sample that the model had heard when it took the
    turn: the decision. sending_s: how late that sample was sent after it was spoken. serving_s: from there to the answer's
    first delta: the way to the server and back, and the clock step. silence_s: in front of the voice in what came.
    """

    heard_s: float
    sending_s: float
    serving_s: float
    silence_s: float


def measure_parts(
    events: Arrivals, sent: Sequence[tuple[float, float]], ended_s: float, voiced_s: float
) -> Parts | None:
    """The parts of the wait; None where nothing was answered, or the server does not say what the model had heard.

    sent: when each chunk was sent, and the seconds of sound sent with it. voiced_s: the last voiced sample, counted as those.
    """
    answer = find_answer(gather_replies(events), ended_s)
    audible_s = answer.first_audible_s() if answer is not None else None
    if answer is None or answer.begun_s is None or audible_s is None:
        return None
    heard_ms = [
        event.audio_end_ms
        for at_s, event in events
        if event.type == "input_audio_buffer.speech_stopped" and at_s <= answer.begun_s
    ]
    sent_s = next((at_s for at_s, until_s in sent if heard_ms and until_s * 1000 >= heard_ms[-1] - 0.5), None)
    if sent_s is None:
        return None
    heard_s = heard_ms[-1] / 1000 - voiced_s
    return Parts(heard_s, sent_s - ended_s - heard_s, answer.begun_s - sent_s, audible_s - answer.begun_s)


def find_sounding(replies: Iterable[Reply], at_s: float) -> Reply | None:
    """The reply that was being spoken at `at_s`."""
    for reply in replies:
        has_begun = reply.begun_s is not None and reply.begun_s <= at_s
        if has_begun and (reply.done_s is None or reply.done_s > at_s):
            return reply
    return None


def measure_stop(replies: Iterable[Reply], onset_s: float) -> float | None:
    """Seconds from the interruption's first voiced sample until the reply it met was cancelled; never negative."""
    met = find_sounding(replies, onset_s)
    if met is None or met.done_s is None or not met.is_interrupted:
        return None
    return met.done_s - onset_s


def count_underruns(events: Arrivals) -> int:
    """Deltas that came after the moment a player, which starts `PLAYOUT_LEAD_S` after the first, needed them."""
    late = 0
    item, needed_s = None, 0.0
    for at_s, event in events:
        if event.type != "response.output_audio.delta":
            continue
        if event.item_id != item:
            item, needed_s = event.item_id, at_s + PLAYOUT_LEAD_S
        if at_s > needed_s:
            late += 1
            needed_s = at_s
        needed_s += len(base64.b64decode(event.delta)) / 2 / RATE_HZ
    return late
