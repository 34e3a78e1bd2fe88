"""The realtime sessions in their slots: opened, given events and clock steps, emptied to their ports, freed.

Everything here is run by the worker's thread. What a session asks for between steps is done by `flush`.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vivavoce.errors import DataError
from vivavoce.omni.engine_protocol import AnswerRequest, DuplexEngine, SlotInput, SlotOutput
from vivavoce.serve.client_events import Prepared, apply_event
from vivavoce.serve.guards.session_guards import SessionGuards
from vivavoce.serve.limits import Limits
from vivavoce.serve.making import Answers, SessionAnswer
from vivavoce.serve.metrics import Metrics
from vivavoce.serve.ports import SessionPort, make_id
from vivavoce.serve.session import RealtimeSession
from vivavoce.serve.settings import Settings
from vivavoce.serve.slot_steps import SlotSteps
from vivavoce.serve.vad import VoiceActivity
from vivavoce.serve.wire import WireError

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Talk:
    """A session and its client."""

    session: RealtimeSession
    port: SessionPort
    postponed: deque[Prepared] = field(default_factory=deque)
    """Client events that came while the slot was held; bounded by what the socket sends unapplied."""


class Talks:
    """All open sessions, by slot."""

    def __init__(
        self,
        engine: DuplexEngine,
        steps: SlotSteps,
        answers: Answers,
        *,
        make_vad: Callable[[], VoiceActivity],
        make_guards: Callable[[], SessionGuards],
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self._engine = engine
        self._steps = steps
        self._answers = answers
        self._make_vad = make_vad
        self._make_guards = make_guards
        self._limits = limits
        self._metrics = metrics
        self._by_slot: dict[int, Talk] = {}

    def __len__(self) -> int:
        return len(self._by_slot)

    def __iter__(self) -> Iterator[Talk]:
        return iter(list(self._by_slot.values()))

    @property
    def sessions(self) -> dict[int, RealtimeSession]:
        """The sessions by slot."""
        return {slot: talk.session for slot, talk in self._by_slot.items()}

    @property
    def needs_poll(self) -> bool:
        """Whether some guard is still judging."""
        return any(talk.session.needs_poll for talk in self._by_slot.values())

    def due_s(self, now_s: float) -> dict[int, float]:
        """When each slot that wants a clock step wants it. A held one does once its work is done, and is not late."""
        due_s = {}
        for slot, talk in self._by_slot.items():
            at_s = talk.session.due_s(now_s) if not self._steps.is_held(slot) else None
            if self._steps.is_ready(slot):
                at_s = now_s
            if at_s is not None:
                due_s[slot] = at_s
        return due_s

    def foresee(self) -> dict[int, SlotInput]:
        """The clock steps that can be made before their sound is complete, as silence has begun in them."""
        found = {}
        for slot, talk in self._by_slot.items():
            given = None if self._steps.is_held(slot) else talk.session.foresee()
            if given is not None:
                found[slot] = given
        return found

    def take_early(self, slot: int, given: SlotInput, output: SlotOutput, now_s: float) -> None:
        """The model took the turn in a step that was foreseen."""
        self._by_slot[slot].session.take_early(given, output, now_s)
        self.flush(slot)

    def open(self, port: SessionPort, kind: str) -> int:
        """Give a talker a slot. Raises: WireError if none is free."""
        free = next((slot for slot in range(self._engine.num_slots) if slot not in self._by_slot), None)
        if free is None:
            raise WireError(
                f"all {self._engine.num_slots} places to talk are taken; try again later, or start with more --slots",
                code="server_busy",
                kind="server_error",
            )
        settings = Settings(
            model=self._engine.model_name,
            voices=self._engine.voices,
            kind=kind,  # type: ignore[arg-type]
            output_modality="audio" if self._engine.voices else "text",
        )
        session = RealtimeSession(
            make_id("sess"),
            settings,
            limits=self._limits,
            make_vad=self._make_vad,
            guards=self._make_guards(),
            new_id=make_id,
            now_s=time.monotonic(),
            can_draw="image" in self._engine.modalities_out,
        )
        self._steps.open(free, settings.instructions)
        self._by_slot[free] = Talk(session, port)
        self._metrics.sessions_total.inc()
        self._metrics.sessions.set(len(self._by_slot))
        self.flush(free)
        return free

    def apply(self, slot: int, port: SessionPort, prepared: Prepared) -> None:
        """A client's event, if the slot is still that client's; it waits while the slot is held, but for a cancel."""
        talk = self._by_slot.get(slot)
        if talk is None or talk.port is not port:
            return
        if not self._steps.is_held(slot):
            self._apply_now(slot, talk, prepared)
        elif prepared.is_a("response.cancel") and not any(past.is_a("response.create") for past in talk.postponed):
            self._cancel_held(slot, talk, prepared)
        else:
            talk.postponed.append(prepared)

    def _cancel_held(self, slot: int, talk: Talk, prepared: Prepared) -> None:
        """A cancel overtakes what waits: it is about the response that the slot's work is for."""
        response = talk.session.response
        self._apply_now(slot, talk, prepared)
        is_cancelled = response is not None and response.is_done
        if is_cancelled and self._by_slot.get(slot) is talk and (output := self._steps.cut(slot)) is not None:
            self.absorb(slot, output, time.monotonic())

    def _apply_now(self, slot: int, talk: Talk, prepared: Prepared) -> None:
        talk.port.unapplied -= 1
        try:
            apply_event(talk.session, prepared, time.monotonic())
        except Exception:
            _log.exception("a client's event failed")
            self.fail(slot)
            return
        self.flush(slot)

    def absorb(self, slot: int, output: SlotOutput, now_s: float) -> None:
        """Give the session its step, and the client events that had to wait for it."""
        talk = self._by_slot[slot]
        talk.session.absorb(output, now_s)
        self.flush(slot)
        while talk.postponed and self._by_slot.get(slot) is talk:
            self._apply_now(slot, talk, talk.postponed.popleft())

    def poll(self, now_s: float) -> None:
        """Let sessions take up what happens without a clock step."""
        for slot, talk in list(self._by_slot.items()):
            if not self._steps.is_held(slot):
                talk.session.poll(now_s)
                self.flush(slot)

    def flush_session(self, session: RealtimeSession) -> None:
        """`flush` by session, which may have been freed meanwhile."""
        for slot, talk in list(self._by_slot.items()):
            if talk.session is session:
                self.flush(slot)

    def flush(self, slot: int) -> None:
        """Send what the session left, start and drop the answers it asked for, and end it if it is closed."""
        talk = self._by_slot[slot]
        session = talk.session
        events = session.take_events()
        for event in events:
            self._metrics.note_event(event)
        for finding in session.findings:
            self._metrics.findings.labels(finding.guard, finding.category).inc()
        session.findings.clear()
        dropped, session.replies.to_drop = session.replies.to_drop, []
        asked, session.replies.to_start = session.replies.to_start, []
        for response_id in dropped:
            self._answers.drop(lambda making, key=response_id: making.key == key)
        if events or session.close_code is not None:
            messages = [json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in events]
            talk.port.deliver(messages, session.close_code)
        for response_id, request in asked:
            if response_id not in dropped:
                self._begin_answer(session, response_id, request)
        if session.close_code is not None:
            self._free(slot)

    def _begin_answer(self, session: RealtimeSession, response_id: str, request: AnswerRequest) -> None:
        port = SessionAnswer(session, response_id)
        try:
            self._answers.begin(request, port, response_id)
        except DataError as error:
            port.end(error)
            self.flush_session(session)

    def fail(self, slot: int) -> None:
        """Our own mistake: end the session with a typed error; the others go on."""
        self._metrics.engine_failures.inc()
        session = self._by_slot[slot].session
        session.refuse(WireError("the server failed; start another session", code="server_error", kind="server_error"))
        session.close(1011)
        self.flush(slot)

    def close(self, slot: int, port: SessionPort) -> None:
        """The client is gone."""
        talk = self._by_slot.get(slot)
        if talk is not None and talk.port is port:
            talk.session.close(1000)
            self._free(slot)

    def close_all(self, code: int) -> None:
        """The server stops."""
        for slot, talk in list(self._by_slot.items()):
            talk.session.close(code)
            self.flush(slot)

    def _free(self, slot: int) -> None:
        talk = self._by_slot.pop(slot)
        self._answers.drop(
            lambda making: isinstance(making.port, SessionAnswer) and making.port.session is talk.session
        )
        self._steps.close(slot)
        self._metrics.sessions.set(len(self._by_slot))
