"""Turn-taking: how soon the model answers, whether it waits in pauses, whether it stops when interrupted.

Live talk of the test split is played to a slot of the engine, frame by frame, in model time; what the user does next
depends on what the model did (an interruption comes while it really speaks). Times are in milliseconds of audio: a sound
made on the step that hears frame s is audible from the end of that frame on. Computing time is not in them (`viva bench`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vivavoce.content import Audio
from vivavoce.data.example import Example, OwnSpan, Sound, Speech, UserSpan
from vivavoce.omni.engine_protocol import FRAME_MS, USER_FRAME_SAMPLES, USER_RATE_HZ, DuplexEngine, SlotInput
from vivavoce.stats import estimate_mean, estimate_proportion, estimate_quantile

ANSWER_WITHIN_MS = 2_400
"""No answer by then counts as none. chosen: ten times what people take."""
LONGEST_SPEECH_MS = 8_000
STOP_WITHIN_MS = 1_600

RenderUser = Callable[[Speech | Sound | Audio], Audio]


@dataclass
class TalkLog:
    """What happened in one conversation.

    gaps_ms: from the end of each user turn to the first own sound, None where no answer came. false_starts: turns taken
    while the user was to go on; chances: how often that could have happened. stops_ms: from the start of each
    interruption to silence, None where it spoke on. backchannels_kept: for each back-channel, whether the model went on.
    """

    gaps_ms: list[float | None] = field(default_factory=list)
    false_starts: int = 0
    chances: int = 0
    stops_ms: list[float | None] = field(default_factory=list)
    backchannels_kept: list[bool] = field(default_factory=list)


class Talk:
    """A conversation with one slot of an engine, in model time."""

    def __init__(self, engine: DuplexEngine, slot: int, render: RenderUser) -> None:
        self.engine, self.slot, self.render = engine, slot, render
        self.frame = 0
        self.is_speaking = False
        self.spoke_at_ms: float | None = None
        self.stopped_at_ms: float | None = None
        self.is_held = False

    def play(self, samples: np.ndarray) -> None:
        """Let the user be heard, a whole number of frames (padded with silence)."""
        padded = np.pad(samples, (0, -len(samples) % USER_FRAME_SAMPLES)).astype(np.float32)
        for frame in padded.reshape(-1, USER_FRAME_SAMPLES):
            out = self.engine.step({self.slot: SlotInput(user_pcm=frame)})[self.slot]
            self.frame += 1
            if out.event == "speak":
                self.is_speaking, self.spoke_at_ms = True, self.frame * FRAME_MS
            elif out.event == "stop":
                self.is_speaking, self.stopped_at_ms = False, self.frame * FRAME_MS

    def wait(self, is_over: Callable[[], bool], at_most_ms: float) -> bool:
        """Silence until `is_over`, or for at most that long. Returns whether it is over."""
        end = self.frame + int(np.ceil(at_most_ms / FRAME_MS))
        while not is_over() and self.frame < end:
            self.play(np.zeros(USER_FRAME_SAMPLES, np.float32))
        return is_over()

    def rest(self, duration_s: float) -> None:
        """Silence for that long."""
        self.play(np.zeros(int(duration_s * USER_RATE_HZ), np.float32))


def follow(engine: DuplexEngine, slot: int, example: Example, render: RenderUser, *, seed: int = 0) -> TalkLog:
    """Hold the example's live talk with the model and log its turn-taking."""
    assert example.timeline is not None, f"{example.example_id} is not live talk"
    log, talk = TalkLog(), Talk(engine, slot, render)
    engine.open_slot(slot, seed=seed)
    try:
        events = example.timeline.events
        for idx, event in enumerate(events):
            if isinstance(event, UserSpan):
                _user_event(talk, log, event, followed_by=events[idx + 1 :])
        if not any(isinstance(event, OwnSpan) for event in events):
            talk.rest(example.timeline.tail_s)
            log.chances += 1
            log.false_starts += talk.spoke_at_ms is not None
    finally:
        engine.close_slot(slot)
    return log


def _user_event(talk: Talk, log: TalkLog, event: UserSpan, *, followed_by: Sequence[Any]) -> None:
    samples = talk.render(event.what).samples
    if event.anchor == "own_start":
        if talk.is_speaking:
            talk.rest(event.gap_s)
        if talk.is_speaking:
            _talk_over(talk, log, event, samples)
        return
    was_speaking_at = talk.spoke_at_ms
    talk.wait(lambda: not talk.is_speaking, LONGEST_SPEECH_MS)
    talk.rest(event.gap_s)
    begin_ms = talk.frame * FRAME_MS
    talk.play(samples)
    if talk.is_held:
        # the user was not done: whatever was said since the pause began was out of turn
        log.chances += 1
        log.false_starts += talk.spoke_at_ms != was_speaking_at
    talk.is_held = bool(followed_by) and not isinstance(followed_by[0], OwnSpan)
    if not followed_by or talk.is_held:
        return
    was_speaking_at = talk.spoke_at_ms
    end_ms = begin_ms + find_end_ms(samples)
    talk.wait(lambda: talk.spoke_at_ms != was_speaking_at, ANSWER_WITHIN_MS)
    has_answered = talk.spoke_at_ms is not None and talk.spoke_at_ms != was_speaking_at
    log.gaps_ms.append(talk.spoke_at_ms - end_ms if has_answered and talk.spoke_at_ms is not None else None)


def _talk_over(talk: Talk, log: TalkLog, event: UserSpan, samples: np.ndarray) -> None:
    begin_ms = talk.frame * FRAME_MS
    talk.play(samples)
    if event.kind == "backchannel":
        talk.rest(0.16)
        log.backchannels_kept.append(talk.is_speaking)
        return
    talk.wait(lambda: not talk.is_speaking, STOP_WITHIN_MS)
    is_silent = not talk.is_speaking and talk.stopped_at_ms is not None
    log.stops_ms.append(talk.stopped_at_ms - begin_ms if is_silent and talk.stopped_at_ms is not None else None)


def find_end_ms(samples: np.ndarray) -> float:
    """Milliseconds to the end of the last 10 ms within 40 dB of the loudest; [S] at 16 kHz."""
    hop = USER_RATE_HZ // 100
    count = len(samples) // hop
    if not count:
        return 0.0
    power = (samples[: count * hop].reshape(count, hop) ** 2).mean(axis=1)
    return float((np.flatnonzero(power >= 1e-4 * power.max())[-1] + 1) * 10)


def summarise(logs: Sequence[TalkLog]) -> dict[str, Any]:
    """Shares and times over all conversations, each with n and interval."""
    gaps = [gap for log in logs for gap in log.gaps_ms]
    answered = [gap for gap in gaps if gap is not None]
    stops = [stop for log in logs for stop in log.stops_ms]
    kept = [is_kept for log in logs for is_kept in log.backchannels_kept]
    stopped = [stop for stop in stops if stop is not None]
    chances = sum(log.chances for log in logs)
    return {
        "take_over_rate": estimate_proportion(len(answered), len(gaps)).to_json(),
        "gap_p50_ms": estimate_quantile(answered, 0.5).to_json(),
        "gap_p95_ms": estimate_quantile(answered, 0.95).to_json(),
        "false_start_rate": estimate_proportion(sum(log.false_starts for log in logs), chances).to_json(),
        "stop_rate": estimate_proportion(len(stopped), len(stops)).to_json(),
        "stop_mean_ms": estimate_mean(stopped).to_json(),
        "backchannel_kept_rate": estimate_proportion(sum(kept), len(kept)).to_json(),
    }
