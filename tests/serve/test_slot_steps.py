"""Long work on one slot, in pieces between the others' steps: the others hear no difference, and it comes to the same."""

from __future__ import annotations

import numpy as np
import pytest

from vivavoce.content import Image, Message, Text, Video
from vivavoce.errors import DataError
from vivavoce.omni.engine_protocol import SlotInput
from vivavoce.serve.rewinding import Reopen
from vivavoce.serve.scheduler import Advance, Scheduler, Sleep, Step
from vivavoce.serve.scripted_engine import ScriptedEngine, make_tone
from vivavoce.serve.session_state import StepPlan
from vivavoce.serve.slot_steps import SlotSteps

LOUD = make_tone(300, 0, 1280, 16_000)
QUIET = np.zeros(1280, np.float32)
TALK = [SlotInput(LOUD)] * 12 + [SlotInput(QUIET)] * 30
PICTURE = Message("user", (Image(np.zeros((64, 64, 3), np.uint8)), Text("draw what you see")))
FILM = Message("user", (Video(np.zeros((8, 64, 64, 3), np.uint8), 2.0),))
DRAWING = [SlotInput(None, (PICTURE, FILM)), SlotInput(None, force="speak"), *[SlotInput(None)] * 40]


class Played:
    """A session that plans what it was given, one step each 80 ms."""

    def __init__(self, inputs, operations=()):
        self.inputs, self.operations, self.outputs, self.refused = list(inputs), operations, [], []
        self.due_s = 0.0

    def plan(self, now_s):
        operations, self.operations = self.operations, ()
        return StepPlan(operations, self.inputs.pop(0))

    def absorb(self, output):
        self.outputs.append(output)
        self.due_s += 0.08

    def refuse(self, error):
        self.refused.append(error)


def play(steps, sessions, *, step_s=0.02, piece_s=0.03):
    """All inputs of all sessions on a simulated clock; how late each slot's steps were."""
    scheduler, now_s = Scheduler(), 0.0
    late = {slot: [] for slot in sessions}
    while any(session.inputs or steps.is_held(slot) for slot, session in sessions.items()):
        due = {slot: s.due_s for slot, s in sessions.items() if s.inputs and not steps.is_held(slot)}
        due |= {slot: now_s for slot in sessions if steps.is_ready(slot)}
        action = scheduler.choose(now_s, due, steps.num_in_pieces)
        if isinstance(action, Sleep):
            now_s = action.until_s
            continue
        if isinstance(action, Step):
            for slot in action.slots:
                late[slot].append(now_s - due[slot])
            outputs = steps.step({slot: sessions[slot] for slot in action.slots}, now_s)
            now_s += step_s
            scheduler.note_step(step_s)
        else:
            assert isinstance(action, Advance)
            outputs = steps.advance(sessions)
            now_s += piece_s
            scheduler.note_answer(piece_s, now_s)
        for slot, output in outputs.items():
            sessions[slot].absorb(output)
    return late


def open_steps(engine=None, slots=(0, 1)):
    steps = SlotSteps(engine or ScriptedEngine(2))
    for slot in slots:
        steps.open(slot, "")
    return steps


def assert_same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert (a.frame_idx, a.event, a.own_text, a.user_text) == (b.frame_idx, b.event, b.own_text, b.user_text)
        assert a.token_steps == b.token_steps
        np.testing.assert_equal(a.pcm, b.pcm)
        assert [image.pixels.tolist() for image in a.images] == [image.pixels.tolist() for image in b.images]


def test_others_hear_exactly_what_they_hear_when_nobody_draws_and_in_time():
    alone, beside, drawing = Played(TALK), Played(TALK), Played(DRAWING)
    play(open_steps(slots=[1]), {1: alone})
    late = play(open_steps(), {0: drawing, 1: beside})
    assert any(output.images for output in drawing.outputs)
    assert any(output.pcm is not None for output in alone.outputs)
    assert_same(beside.outputs, alone.outputs)
    # at most one batch and one piece lie between a step's moment and the step
    assert max(late[1]) <= 0.02 + 0.03 + 1e-9


def test_in_pieces_comes_to_the_same_as_at_once():
    engine = ScriptedEngine(1)
    engine.open_slot(0)
    expected = [engine.step({0: given})[0] for given in DRAWING]
    drawing = Played(DRAWING)
    play(open_steps(slots=[0]), {0: drawing})
    assert_same(drawing.outputs, expected)
    (drawn,) = [output for output in drawing.outputs if output.images]
    assert (drawn.event, drawn.token_steps) == ("stop", 66)


def test_on_a_machine_that_is_too_slow_long_work_still_ends():
    beside, drawing = Played(TALK * 8), Played(DRAWING)
    play(open_steps(), {0: drawing, 1: beside}, step_s=0.1)
    assert any(output.images for output in drawing.outputs)


def test_going_back_to_before_a_step_unreads_what_was_read_for_it():
    engine = ScriptedEngine(1)
    reading = Played([SlotInput(None), SlotInput(None, (PICTURE,)), SlotInput(None)])
    play(open_steps(engine, [0]), {0: reading})
    assert engine.heard(0)[1] == ("user:draw what you see a picture",)
    engine.rewind(0, 1)
    assert engine.heard(0)[1] == ()


def test_a_slot_that_is_closed_in_the_middle_of_its_work_is_free_again():
    engine = ScriptedEngine(2)
    steps, drawing = open_steps(engine, [0]), Played(DRAWING)
    steps.step({0: drawing}, 0.0)
    assert steps.is_held(0)
    assert not steps.is_ready(0)
    steps.advance({0: drawing})
    steps.close(0)
    assert (steps.is_held(0), steps.num_in_pieces, engine.num_open) == (False, 0, 0)
    again = Played(TALK)
    steps.open(0, "")
    play(steps, {0: again})
    assert again.outputs[0].frame_idx == 0


class Refusing(ScriptedEngine):
    """Takes in no film, and no long instructions."""

    def read(self, slot, messages):
        if any(message.parts_of(Video) for message in messages):
            raise DataError("too long")
        yield from super().read(slot, messages)

    def open_in_pieces(self, slot, system, seed):
        if system:
            raise DataError("too long")
        yield from super().open_in_pieces(slot, system, seed)


def test_what_does_not_fit_is_refused_by_name_and_the_step_is_made_without_it():
    session = Played([SlotInput(LOUD), SlotInput(LOUD)], operations=(Reopen("x" * 500),))
    play(open_steps(Refusing(2), [0]), {0: session})
    assert len(session.outputs) == 2
    (error,) = session.refused
    assert (error.code, error.param) == ("context_refused", "session.instructions")
    session = Played([SlotInput(LOUD, (FILM,)), SlotInput(LOUD)])
    play(open_steps(Refusing(2), [0]), {0: session})
    assert len(session.outputs) == 2
    assert "could not take this in: too long" in str(session.refused[0])


@pytest.mark.parametrize(("text", "is_held"), [("hello", False), ("word " * 100, True)])
def test_a_short_text_is_read_within_the_step(text, is_held):
    steps = open_steps(slots=[0])
    outputs = steps.step({0: Played([SlotInput(None, (Message("user", (Text(text),)),))])}, 0.0)
    assert steps.is_held(0) is is_held
    assert (0 in outputs) is not is_held
