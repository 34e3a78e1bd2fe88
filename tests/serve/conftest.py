"""A realtime conversation in process, on a clock of its own: no sockets, no threads, no waiting."""

from __future__ import annotations

import base64
import itertools
import json
from concurrent.futures import Executor, Future
from typing import Any, get_args

import numpy as np
import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

from vivavoce.errors import DataError
from vivavoce.serve.client_events import apply_event, prepare
from vivavoce.serve.guards.session_guards import GuardSet, SessionGuards
from vivavoce.serve.limits import Limits
from vivavoce.serve.rewinding import Reopen
from vivavoce.serve.scripted_engine import ScriptedEngine, make_tone
from vivavoce.serve.session import RealtimeSession
from vivavoce.serve.settings import Settings
from vivavoce.serve.sound import encode_sound
from vivavoce.serve.vad import EnergyVad

_UNION = get_args(RealtimeServerEvent)[0]
SERVER_EVENTS: dict[str, type[BaseModel]] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(_UNION) if isinstance(kind, type)
}


def check_event(event: dict[str, Any]) -> None:
    """The SDK's own type of this event accepts it, strictly, apart from our documented picture parts."""
    kind = SERVER_EVENTS[event["type"]]
    if "image" in json.dumps(event):
        return
    TypeAdapter(kind).validate_python(event, strict=True)
    assert kind.model_validate(event).model_extra in (None, {}), f"fields the SDK does not know: {event}"


class InlinePool(Executor):
    """Judges at once, in the caller's thread."""

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def tone_bytes(seconds: float, gain: float = 1.0, rate_hz: int = 24_000, wire_format="audio/pcm") -> bytes:
    """A loud tone (`gain` 0: silence) on the wire."""
    return encode_sound(gain * make_tone(300.0, 0, int(seconds * rate_hz), rate_hz), wire_format)


class Talk:
    """A client, a session and an engine, stepped by hand."""

    def __init__(self, *, guards: GuardSet | None = None, limits: Limits | None = None, engine=None, kind="realtime"):
        self.engine = engine or ScriptedEngine(2)
        self.foresees = False
        """Whether clock steps are tried before their sound is complete, as the worker does where it has time."""
        self.num_tries = 0
        self.now_s = 100.0
        numbers = itertools.count()
        self.session = RealtimeSession(
            "sess_1",
            Settings(model="m", voices=self.engine.voices, kind=kind),
            limits=limits or Limits(),
            make_vad=EnergyVad,
            guards=SessionGuards(guards or GuardSet(), InlinePool()),
            new_id=lambda kind: f"{kind}_{next(numbers)}",
            now_s=self.now_s,
            can_draw=True,
        )
        self.engine.open_slot(0)
        self.events: list[dict[str, Any]] = []
        self.inputs: list = []
        self._collect()

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """A client event; returns the events it caused, before any clock step."""
        return self.send_text(json.dumps({"type": kind, **fields}))

    def send_text(self, text: str) -> list[dict[str, Any]]:
        before = len(self.events)
        apply_event(self.session, prepare(text, self.session.limits), self.now_s)
        self._collect()
        return self.events[before:]

    def configure(self, **turn_detection: Any) -> None:
        detection = turn_detection or None
        heard = {"turn_detection": detection, "transcription": {"model": "own"}}
        self.send("session.update", session={"type": "realtime", "audio": {"input": heard}})

    def speak(self, seconds: float, *, gain: float = 1.0, chunk_s: float = 0.02) -> None:
        """Stream sound at 1x, stepping as it goes; gain 0 is an open, silent microphone."""
        data = tone_bytes(seconds, gain)
        size = int(chunk_s * 24_000) * 2
        for at in range(0, len(data), size):
            self.send("input_audio_buffer.append", audio=base64.b64encode(data[at : at + size]).decode())
            self.run(chunk_s)

    def silence(self, seconds: float) -> None:
        self.speak(seconds, gain=0.0)

    def run(self, seconds: float) -> None:
        """Let time pass, stepping whenever the session wants it."""
        end_s = self.now_s + seconds
        for _ in range(100_000):
            self.session.poll(self.now_s)
            self._collect()
            due_s = self.session.due_s(self.now_s)
            if due_s is None or due_s > end_s:
                if self.foresees:
                    self._try_early()
                break
            self.now_s = max(self.now_s, due_s)
            self._step()
        self.now_s = max(self.now_s, end_s)
        self.session.poll(self.now_s)
        self._collect()

    def _try_early(self) -> None:
        given = self.session.foresee()
        if given is None:
            return
        self.num_tries += 1
        output = self.engine.step({0: given})[0]
        if output.event == "speak":
            self.inputs.append(given)
            self.session.take_early(given, output, self.now_s)
            self._collect()
        else:
            self.engine.rewind(0, output.frame_idx)

    def _step(self) -> None:
        plan = self.session.plan(self.now_s)
        inserts = plan.input.inserts
        for operation in plan.operations:
            if isinstance(operation, Reopen):
                self.engine.close_slot(0)
                self.engine.open_slot(0, operation.system)
            else:
                try:
                    self.engine.rewind(0, operation.frame_idx)
                except DataError:
                    pytest.fail(f"the session went back to a step that is not there: {operation}")
        assert inserts == plan.input.inserts
        self.inputs.append(plan.input)
        self.session.absorb(self.engine.step({0: plan.input})[0], self.now_s)
        self._collect()

    def _collect(self) -> None:
        for event in self.session.take_events():
            check_event(event)
            self.events.append(event)
        asked, self.session.replies.to_start = self.session.replies.to_start, []
        self.session.replies.to_drop = []
        for response_id, request in asked:
            for delta in self.engine.answer(request):
                self.session.replies.absorb(response_id, delta)
            self.session.replies.absorb(response_id, None)
        if asked:
            self._collect()

    # ---- looking at what happened

    @property
    def names(self) -> list[str]:
        return [event["type"] for event in self.events]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def last(self, kind: str) -> dict[str, Any]:
        return self.of(kind)[-1]

    def audio(self) -> np.ndarray:
        """All speech sent, as samples of PCM16."""
        data = b"".join(base64.b64decode(event["delta"]) for event in self.of("response.output_audio.delta"))
        return np.frombuffer(data, "<i2")

    def forget(self) -> None:
        self.events.clear()


@pytest.fixture
def talk() -> Talk:
    return Talk()


def without_deltas(names):
    return [name for name in names if "delta" not in name and "transcription" not in name]


def write(talk, text, **more):
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}
    return talk.send("conversation.item.create", item=item)


def error_of(events):
    (event,) = events
    assert event["type"] == "error", event
    return event["error"]
