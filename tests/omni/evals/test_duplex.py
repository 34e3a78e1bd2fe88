"""Turn-taking as measured equals turn-taking as scripted."""

import numpy as np
import pytest

from vivavoce.content import Audio, Conversation
from vivavoce.data.answers import Answer
from vivavoce.data.example import PRESET_VOICE, Example, OwnSpan, Sound, Speech, Timeline, UserSpan
from vivavoce.omni.engine_protocol import SlotInput, SlotOutput
from vivavoce.omni.evals.duplex import find_end_ms, follow, summarise


class ScriptedEngine:
    """Answers `patience` silent frames after sound, for `length` frames; stops `yield_after` frames into an overlap."""

    def __init__(self, patience: int, length: int = 30, yield_after: int | None = 2) -> None:
        self.patience, self.length, self.yield_after = patience, length, yield_after

    def open_slot(self, slot: int, system: str = "", seed: int = 0) -> None:
        self.silent, self.left, self.overlap, self.has_heard = 0, 0, 0, False

    def close_slot(self, slot: int) -> None:
        pass

    def step(self, inputs: dict[int, SlotInput]) -> dict[int, SlotOutput]:
        ((slot, given),) = inputs.items()
        assert given.user_pcm is not None
        is_loud = bool(np.abs(given.user_pcm).max() > 0.01)
        self.silent = 0 if is_loud else self.silent + 1
        self.has_heard |= is_loud
        event = None
        if self.left:
            self.overlap = self.overlap + 1 if is_loud else self.overlap
            self.left -= 1
            if not self.left or (self.yield_after is not None and self.overlap > self.yield_after):
                self.left, event = 0, "stop"
        elif self.has_heard and self.silent == self.patience:
            self.left, self.overlap, self.has_heard, event = self.length, 0, False, "speak"
        return {slot: SlotOutput(0, event=event)}


def render(what) -> Audio:
    """0.4 s of tone for each word (an exact number of frames), or nothing for a silence."""
    seconds = 1.0 if isinstance(what, Sound) else 0.4 * len(what.text.split())
    level = 0.0 if isinstance(what, Sound) else 0.5
    return Audio((level * np.ones(int(seconds * 16_000))).astype(np.float32), 16_000)


def talk(*events) -> Example:
    timeline = Timeline(events, tail_s=1.6)
    either = frozenset({"audio"})
    return Example("t", "live", "test", either, either, Conversation(), Answer("words", ""), (), timeline)


ASKED = UserSpan("speech", Speech("how many balls", "any-test-0"), gap_s=0.32)
SAID = OwnSpan(Speech("three", PRESET_VOICE))


@pytest.mark.parametrize("patience", [1, 3])
def test_the_gap_is_the_engines_patience(patience: int) -> None:
    log = follow(ScriptedEngine(patience), 0, talk(ASKED, SAID), render)
    assert log.gaps_ms == [80.0 * patience]


def test_no_answer_is_counted_and_has_no_gap() -> None:
    log = follow(ScriptedEngine(10_000), 0, talk(ASKED, SAID), render)
    assert log.gaps_ms == [None]
    report = summarise([log, follow(ScriptedEngine(1), 0, talk(ASKED, SAID), render)])
    assert (report["take_over_rate"]["value"], report["take_over_rate"]["n"]) == (0.5, 2)
    assert report["gap_p50_ms"]["n"] == 1


@pytest.mark.parametrize(("patience", "false_starts"), [(3, 1), (20, 0)])
def test_taking_the_turn_in_a_pause_is_a_false_start(patience: int, false_starts: int) -> None:
    first = UserSpan("speech", Speech("how many", "any-test-0"), is_held=True)
    second = UserSpan("speech", Speech("balls", "any-test-0"), gap_s=0.8)
    log = follow(ScriptedEngine(patience, length=4), 0, talk(first, second, SAID), render)
    # the pause runs to the start of the second half: an engine that waits 20 frames (1.6 s) stays silent in it
    assert (log.false_starts, log.chances) == (false_starts, 1)


@pytest.mark.parametrize(("yield_after", "stops"), [(2, [240.0]), (None, [None])])
def test_an_interruption_comes_while_it_speaks_and_the_stop_is_timed(yield_after, stops) -> None:
    stop = UserSpan("speech", Speech("stop", "any-test-0"), gap_s=0.8, anchor="own_start")
    log = follow(ScriptedEngine(1, length=100, yield_after=yield_after), 0, talk(ASKED, SAID, stop), render)
    assert log.stops_ms == stops


@pytest.mark.parametrize(("yield_after", "is_kept"), [(2, False), (None, True)])
def test_a_back_channel_should_not_stop_it(yield_after, is_kept: bool) -> None:
    hum = UserSpan("backchannel", Speech("yes", "any-test-0"), gap_s=0.8, anchor="own_start")
    log = follow(ScriptedEngine(3, length=100, yield_after=yield_after), 0, talk(ASKED, SAID, hum), render)
    assert log.backchannels_kept == [is_kept]
    assert log.stops_ms == []


def test_speaking_to_nobody_is_a_false_start() -> None:
    noise = UserSpan("noise", Sound("noise"))
    log = follow(ScriptedEngine(2), 0, talk(noise), render)
    assert (log.false_starts, log.chances) == (0, 1)


def test_the_true_end_is_the_last_loud_sample() -> None:
    samples = np.concatenate([np.ones(1600), 0.005 * np.ones(1600), np.zeros(800)]).astype(np.float32)
    assert find_end_ms(samples) == 100.0
    assert find_end_ms(np.zeros(10, np.float32)) == 0.0
