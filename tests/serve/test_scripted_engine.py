"""The script keeps the engine's contract: the tests of the server stand on it."""

import numpy as np
import pytest

from vivavoce.content import Conversation, user
from vivavoce.errors import DataError
from vivavoce.omni.engine_protocol import AnswerRequest, DuplexEngine, SlotInput
from vivavoce.serve.scripted_engine import ScriptedEngine, make_tone

LOUD = make_tone(300, 0, 1280, 16_000)
QUIET = np.zeros(1280, np.float32)


def hear(engine, slots, pattern):
    return [engine.step({slot: SlotInput(LOUD if mark == "#" else QUIET) for slot in slots}) for mark in pattern]


def open_engine() -> DuplexEngine:
    engine = ScriptedEngine(2)
    engine.open_slot(0)
    engine.open_slot(1)
    return engine


def test_a_slot_that_is_not_stepped_does_not_change():
    alone, together = open_engine(), open_engine()
    expected = hear(alone, [0], "#####......")
    hear(together, [1], "###")
    found = hear(together, [0], "#####......")
    for a, b in zip(expected, found):
        assert a[0].own_text == b[0].own_text
        np.testing.assert_array_equal(a[0].pcm, b[0].pcm)


def test_rewinding_is_as_if_the_steps_had_never_been():
    engine = open_engine()
    hear(engine, [0], "####")
    expected = hear(engine, [0], "##....")
    engine.rewind(0, 4)
    hear(engine, [0], "......")
    engine.rewind(0, 4)
    found = hear(engine, [0], "##....")
    assert [step[0].event for step in expected] == [step[0].event for step in found]
    assert [step[0].frame_idx for step in expected] == [step[0].frame_idx for step in found]


def test_a_step_of_the_future_cannot_be_gone_back_to():
    with pytest.raises(DataError, match="clock step 9 is not in slot 0"):
        open_engine().rewind(0, 9)


def test_forced_to_speak_it_speaks_and_forced_to_stop_it_stops():
    engine = open_engine()
    assert engine.step({0: SlotInput(may_speak=False, force="speak")})[0].event == "speak"
    assert engine.step({0: SlotInput(force="stop")})[0].event == "stop"
    assert engine.step({0: SlotInput(force="stop")})[0].event is None


def test_an_answer_holds_what_was_asked_for_and_nothing_else():
    request = AnswerRequest(conversation=Conversation((user("draw it"),)), outputs=frozenset({"image"}), task="draw")
    pieces = list(open_engine().answer(request))
    assert sum(piece.image is not None for piece in pieces) == 1
    assert not any(piece.text or piece.pcm is not None for piece in pieces)
