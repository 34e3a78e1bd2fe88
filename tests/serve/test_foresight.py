"""Clock steps tried before their sound is complete, once silence has begun in them."""

import numpy as np
import pytest

from vivavoce.omni.engine_protocol import SlotInput
from vivavoce.serve.hearing import Hearing
from vivavoce.serve.scheduler import FORESIGHT_S, Scheduler
from vivavoce.serve.scripted_engine import ScriptedEngine, make_tone
from vivavoce.serve.settings import TurnDetection
from vivavoce.serve.slot_steps import SlotSteps
from vivavoce.serve.turns import LONGEST_FORESIGHT_MS, TurnTaking
from vivavoce.serve.vad import EnergyVad

from .conftest import Talk, without_deltas


def ask(talk, voiced_s, *, foresees):
    """One spoken question and its answer; when each event came, by name, in seconds after the voice ended."""
    talk.foresees = foresees
    talk.configure(type="semantic_vad")
    talk.forget()
    talk.speak(voiced_s)
    over_s, came = talk.now_s, {}
    for _ in range(150):
        before = len(talk.events)
        talk.silence(0.02)
        for event in talk.events[before:]:
            came.setdefault(event["type"], talk.now_s - over_s)
    return came


@pytest.mark.parametrize("voiced_s", [0.96, 0.98, 1.0, 1.02])
def test_the_turn_is_taken_once_silence_has_begun_in_the_step_that_decides(voiced_s):
    waited, foreseen = Talk(), Talk()
    late = ask(waited, voiced_s, foresees=False)["response.output_audio.delta"]
    soon = ask(foreseen, voiced_s, foresees=True)["response.output_audio.delta"]
    # at the end of the first silent step, in place of the second
    assert late - soon == pytest.approx(0.08)
    assert without_deltas(foreseen.names) == without_deltas(waited.names)
    assert foreseen.last("response.done")["response"]["status"] == "completed"


def test_what_was_heard_is_what_had_come_and_nothing_of_it_is_lost():
    talk = Talk()
    ask(talk, 1.0, foresees=True)
    stopped = talk.last("input_audio_buffer.speech_stopped")
    # the voice ends 40 ms into a step, so two silent ones would end after 200 ms; the second is foreseen
    assert stopped["audio_end_ms"] == 1000 + 120
    item = talk.session.items.get(stopped["item_id"])
    assert len(item.content[0].samples) == 16 * 1120
    assert all(given.user_pcm is None or len(given.user_pcm) == 1280 for given in talk.inputs), "whole clock steps"
    # the next question is timed as the client counts, though its clock steps lie elsewhere
    before_ms = talk.session.turn.hearing.heard_ms + len(talk.session.turn.hearing._rest) // 16
    assert before_ms == 1000 + 3000
    talk.speak(1.0)
    talk.silence(2.0)
    start = talk.last("input_audio_buffer.speech_started")["audio_start_ms"]
    assert abs(start + 300 - before_ms) <= 32  # the padding, and one step of the voice activity
    assert talk.engine.heard(0)[0] == 0, "asked and answered"


def test_a_step_that_was_tried_in_vain_leaves_no_trace():
    heard = []
    for foresees in (False, True):
        talk = Talk()
        talk.foresees = foresees
        talk.configure(type="semantic_vad", eagerness="low")  # waits for five silent steps
        for _ in range(4):  # pauses too short for it
            talk.speak(0.5)
            talk.silence(0.24)
        heard.append(talk)
    plain, tried = heard
    assert plain.num_tries == 0
    assert tried.num_tries >= 8
    assert tried.names == plain.names
    assert tried.engine.heard(0) == plain.engine.heard(0)
    assert len(tried.inputs) == len(plain.inputs)
    for mine, theirs in zip(tried.inputs, plain.inputs, strict=True):
        np.testing.assert_array_equal(mine.user_pcm, theirs.user_pcm)


@pytest.mark.parametrize("detection", [{"type": "server_vad"}, {}, {"type": "semantic_vad", "create_response": False}])
def test_only_a_model_that_may_take_the_turn_is_asked(detection):
    talk = Talk()
    talk.foresees = True
    talk.configure(**detection)
    talk.speak(1.0)
    talk.silence(1.0)
    assert talk.num_tries == 0


def test_nothing_is_foreseen_in_speech_in_noise_or_long_after():
    talk = Talk()
    talk.foresees = True
    talk.configure(type="semantic_vad", eagerness="low")
    talk.speak(1.0)
    talk.speak(1.0, gain=0.2)  # 14 dB softer is no silence
    assert talk.num_tries == 0
    talk.engine.barge_in = False
    talk.silence(0.4)
    assert talk.num_tries > 0
    assert LONGEST_FORESIGHT_MS < 4000


@pytest.mark.parametrize(
    ("eagerness", "bias", "patience_ms"), [("low", -3.25, 2000), ("auto", 0.0, 800), ("high", 0.75, 400)]
)
def test_the_wish_to_speak_grows_with_a_silence_that_nobody_fills(eagerness, bias, patience_ms):
    taking = TurnTaking(EnergyVad, TurnDetection(kind="semantic_vad", eagerness=eagerness))
    loud, quiet = make_tone(300.0, 0, 1280, 16_000), np.zeros(1280, np.float32)
    for _ in range(8):
        taking.hear(loud)
    found = []
    for _ in range(patience_ms // 80 + 10):
        taking.hear(quiet)
        found.append(taking.speak_bias)
    assert found[: patience_ms // 80 - 1] == [bias] * (patience_ms // 80 - 1)
    # ten steps later by about ten: voice activity counts in 32 ms
    assert found[-1] - bias == pytest.approx(10.0, abs=0.5)
    taking.end_turn()
    assert taking.speak_bias == bias


def test_the_rest_of_a_step_is_foreseen_like_its_last_20_ms():
    hearing = Hearing("audio/pcm")
    hearing.append(np.zeros(24 * 10, np.float32))
    assert hearing.tail is None
    hearing.append(0.01 * make_tone(300.0, 0, 24 * 30))
    assert hearing.tail is not None
    frame = hearing.foresee()
    assert frame.shape == (1280,)
    assert frame.dtype == np.float32
    begun = frame[: 16 * 40]
    np.testing.assert_array_equal(frame[16 * 40 :], np.concatenate([begun[-320:][::-1], begun[-320:]]))
    np.testing.assert_array_equal(hearing.pop_begun(), begun)
    assert (hearing.heard_ms, hearing.has_frame) == (40, False)
    # nothing of the next step has come: all of it is foreseen
    np.testing.assert_array_equal(hearing.tail, begun[-320:])
    assert hearing.foresee().shape == (1280,)
    hearing.append(np.zeros(24 * 80, np.float32))
    assert hearing.tail is None, "a whole step waits to be heard"


def test_a_step_is_kept_only_for_the_slot_that_begins_to_speak():
    engine = ScriptedEngine(2)
    steps = SlotSteps(engine)
    loud, quiet = make_tone(300.0, 0, 1280, 16_000), np.zeros(1280, np.float32)
    for slot, num_quiet in ((0, 1), (1, 0)):
        steps.open(slot, "")
        for frame in [loud] * 4 + [quiet] * num_quiet:
            engine.step({slot: SlotInput(frame)})
    outputs = steps.try_early({slot: SlotInput(quiet) for slot in (0, 1)})
    assert list(outputs) == [0]
    assert steps.num_stepped == 1
    # two silent steps are what it takes: the one that was taken back does not count
    assert engine.step({1: SlotInput(quiet)})[1].event is None
    assert engine.step({1: SlotInput(quiet)})[1].event == "speak"


def test_a_machine_that_is_slow_or_has_somebody_waiting_foresees_nothing():
    scheduler = Scheduler()
    scheduler.note_step(FORESIGHT_S)
    assert scheduler.has_time_to_foresee(10.0, float("inf"))
    assert scheduler.has_time_to_foresee(10.0, 10.0 + FORESIGHT_S)
    assert not scheduler.has_time_to_foresee(10.0, 10.0 + FORESIGHT_S / 2)
    scheduler = Scheduler()
    scheduler.note_step(2 * FORESIGHT_S)
    assert not scheduler.has_time_to_foresee(10.0, float("inf"))
