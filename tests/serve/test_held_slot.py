"""A slot that reads or draws in pieces: what its client sends waits, but for a cancel, which is honoured at once."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from vivavoce.content import Image
from vivavoce.serve.client_events import prepare
from vivavoce.serve.guards.session_guards import GuardSet, SessionGuards
from vivavoce.serve.items import show_picture
from vivavoce.serve.limits import Limits
from vivavoce.serve.making import Answers
from vivavoce.serve.metrics import Metrics
from vivavoce.serve.scripted_engine import ScriptedEngine
from vivavoce.serve.slot_steps import SlotSteps
from vivavoce.serve.talks import Talks
from vivavoce.serve.vad import EnergyVad

from .conftest import InlinePool


class Port:
    """A client's end of its session."""

    def __init__(self):
        self.events, self.close_code, self.unapplied = [], None, 0

    def deliver(self, messages, close_code):
        self.events += [json.loads(message) for message in messages]
        self.close_code = close_code

    def of(self, kind):
        return [event for event in self.events if event["type"] == kind]


class Conversation:
    """One client of the server's sessions, with the worker's steps made by hand."""

    def __init__(self):
        self.engine, metrics = ScriptedEngine(1), Metrics()
        self.steps = SlotSteps(self.engine)
        self.talks = Talks(
            self.engine,
            self.steps,
            Answers(self.engine, Limits(), metrics),
            make_vad=EnergyVad,
            make_guards=lambda: SessionGuards(GuardSet(), InlinePool()),
            limits=Limits(),
            metrics=metrics,
        )
        self.port = Port()
        self.slot = self.talks.open(self.port, "realtime")
        self.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})

    def send(self, kind, **fields):
        self.port.unapplied += 1
        self.talks.apply(self.slot, self.port, prepare(json.dumps({"type": kind, **fields}), Limits()))

    def write(self, text, *more):
        content = [{"type": "input_text", "text": text}, *more]
        self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})

    def step(self):
        """One clock step, or one piece of the work that holds the slot."""
        sessions = self.talks.sessions
        if self.steps.is_held(self.slot) and not self.steps.is_ready(self.slot):
            outputs = self.steps.advance(sessions)
        else:
            outputs = self.steps.step(sessions, time.monotonic())
        for slot, output in outputs.items():
            self.talks.absorb(slot, output, time.monotonic())

    def step_until(self, is_so):
        for _ in range(500):
            if is_so():
                return
            self.step()
        pytest.fail("it never came to that")

    @property
    def is_drawing(self):
        return self.steps.is_held(self.slot) and bool(self.port.of("response.output_audio.delta"))


@pytest.fixture
def drawing():
    """A conversation whose slot is in the middle of a drawing."""
    talk = Conversation()
    talk.write("draw a ball")
    talk.send("response.create")
    talk.step_until(lambda: talk.is_drawing)
    talk.step()
    assert talk.is_drawing
    return talk


def end_of(event):
    return event["response"]["status"], (event["response"]["status_details"] or {}).get("reason")


def test_a_cancel_ends_a_drawing_at_once_and_the_slot_goes_on(drawing):
    drawing.write("thanks")  # waits, and is in time all the same
    drawing.send("response.cancel")
    (done,) = drawing.port.of("response.done")
    assert end_of(done) == ("cancelled", "client_cancelled")
    assert [item["content"][0]["type"] for item in done["response"]["output"]] == ["output_audio"]
    assert not drawing.steps.is_held(drawing.slot)
    assert drawing.port.unapplied == 0
    drawing.send("response.create")
    drawing.step_until(lambda: len(drawing.port.of("response.done")) == 2)
    assert "thanks" in drawing.port.of("response.output_audio_transcript.done")[-1]["transcript"]
    assert not drawing.port.of("error")


def test_a_drawing_that_nobody_cancels_is_sent_and_then_what_waited_is_done(drawing):
    drawing.write("thanks")
    assert len(drawing.port.of("conversation.item.done")) == 1
    drawing.step_until(lambda: drawing.port.of("response.done"))
    assert end_of(drawing.port.of("response.done")[0]) == ("completed", None)
    assert drawing.port.of("response.done")[0]["response"]["output"][1]["content"][0]["type"] == "output_image"
    assert drawing.port.of("conversation.item.done")[-1]["item"]["content"][0]["text"] == "thanks"


def test_a_cancel_of_another_response_does_not_stop_the_drawing(drawing):
    drawing.send("response.cancel", response_id="resp_other")
    assert drawing.port.of("error")[0]["error"]["code"] == "response_cancel_not_active"
    assert drawing.is_drawing
    drawing.step_until(lambda: drawing.port.of("response.done"))
    assert len(drawing.port.of("response.done")[0]["response"]["output"]) == 2


def test_a_cancel_of_a_response_that_waits_itself_waits_with_it(drawing):
    drawing.send("response.create")
    drawing.send("response.cancel")
    assert drawing.is_drawing
    drawing.step_until(lambda: len(drawing.port.of("response.done")) == 2)
    assert [end_of(event) for event in drawing.port.of("response.done")] == [
        ("completed", None),
        ("cancelled", "client_cancelled"),
    ]


def test_a_client_that_leaves_in_the_middle_of_its_drawing_frees_the_slot_at_once(drawing):
    drawing.talks.close(drawing.slot, drawing.port)
    assert drawing.engine.num_open == 0
    assert not drawing.steps.is_held(drawing.slot)


def test_a_cancel_while_a_picture_is_read_is_answered_at_once_and_the_picture_is_remembered():
    talk = Conversation()
    uri = show_picture(Image(np.zeros((8, 8, 3), np.uint8)))
    talk.write("look", {"type": "input_image", "image_url": uri})
    talk.send("response.create")
    talk.step()
    assert talk.steps.is_held(talk.slot)
    talk.send("response.cancel")
    assert end_of(talk.port.of("response.done")[0]) == ("cancelled", "client_cancelled")
    talk.step_until(lambda: not talk.steps.is_held(talk.slot))
    assert talk.engine.heard(talk.slot)[1] == ("user:look a picture",)
    assert not talk.port.of("response.output_audio.delta")
    talk.send("response.create")
    talk.step_until(lambda: len(talk.port.of("response.done")) == 2)
    assert "look a picture" in talk.port.of("response.output_audio_transcript.done")[-1]["transcript"]


def test_a_deleted_item_is_forgotten_though_the_response_was_cancelled_in_the_middle_of_a_drawing():
    talk = Conversation()
    talk.write("a secret")
    talk.write("draw a ball")
    talk.send("response.create")
    talk.step_until(lambda: talk.port.of("response.output_audio.delta"))
    talk.send("conversation.item.delete", item_id=talk.port.of("conversation.item.done")[0]["item"]["id"])
    talk.step_until(lambda: talk.is_drawing)
    talk.send("response.cancel")
    talk.step()
    assert "user:a secret" not in talk.engine.heard(talk.slot)[1]
    talk.write("and now")
    talk.send("response.create")
    talk.step_until(lambda: len(talk.port.of("response.done")) == 2)
    assert not talk.port.of("error")


def test_a_slot_that_was_made_to_stop_begins_no_drawing():
    talk = Conversation()
    talk.write("draw a ball")
    talk.send("response.create")
    talk.step_until(lambda: talk.port.of("response.output_audio.delta"))
    talk.send("response.cancel")
    talk.step()
    assert not talk.steps.is_held(talk.slot)
    assert end_of(talk.port.of("response.done")[0]) == ("cancelled", "client_cancelled")
