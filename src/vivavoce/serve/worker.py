"""The one thread that computes: it owns the engine, its slots, the realtime sessions and the HTTP answers.

The event loop only moves bytes: it puts commands into a queue here, and gets messages back through ports. All state is
touched by this thread alone, so there are no locks.
"""

from __future__ import annotations

import itertools
import json
import logging
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from vivavoce.errors import DataError
from vivavoce.omni.engine_protocol import (
    USER_FRAME_SAMPLES,
    AnswerDelta,
    AnswerRequest,
    DuplexEngine,
    SlotInput,
    SlotOutput,
)
from vivavoce.serve.client_events import Prepared, apply_event
from vivavoce.serve.guards.session_guards import GuardSet, SessionGuards
from vivavoce.serve.limits import Limits
from vivavoce.serve.metrics import Metrics
from vivavoce.serve.rewinding import Reopen
from vivavoce.serve.scheduler import AdvanceAnswer, Scheduler, Sleep, Step
from vivavoce.serve.session import RealtimeSession
from vivavoce.serve.settings import Settings
from vivavoce.serve.vad import VoiceActivity
from vivavoce.serve.wire import WireError

_log = logging.getLogger(__name__)
_POLL_S = 0.01
_IDLE_S = 0.1


class SessionPort(Protocol):
    """Where a session's messages go. Called from the worker's thread; must not block."""

    unapplied: int
    """Client events on their way to the session; the sender counts up, the worker down."""

    def deliver(self, messages: list[str], close_code: int | None) -> None:
        """Send these, in order; then close if there is a code."""
        ...


class AnswerPort(Protocol):
    """Where an answer's pieces go. Called from the worker's thread; must not block."""

    def deliver(self, delta: AnswerDelta) -> None:
        """One piece."""
        ...

    def end(self, error: Exception | None) -> None:
        """No more comes."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether the reader is so far behind that the answer should wait."""
        ...


@dataclass(slots=True)
class _Talk:
    session: RealtimeSession
    port: SessionPort


@dataclass(slots=True, eq=False)
class _Making:
    """An answer being made."""

    pieces: Iterator[AnswerDelta]
    port: AnswerPort
    deadline_s: float
    spoken_samples: int = 0
    key: str = ""


@dataclass(slots=True)
class _SessionAnswer:
    """The port of an answer that a session asked for."""

    session: RealtimeSession
    response_id: str
    is_full: bool = field(default=False, init=False)

    def deliver(self, delta: AnswerDelta) -> None:
        self.session.replies.absorb(self.response_id, delta)

    def end(self, error: Exception | None) -> None:
        self.session.replies.absorb(self.response_id, None, str(error) if error else None)


def make_id(kind: str) -> str:
    """A new id in the protocol's style."""
    return f"{kind}_{secrets.token_hex(10)}"


class Worker:
    """See the module's docstring. Public methods may be called from any thread."""

    def __init__(
        self,
        engine: DuplexEngine,
        *,
        make_vad: Callable[[], VoiceActivity],
        limits: Limits | None = None,
        guards: GuardSet | None = None,
        metrics: Metrics | None = None,
        guard_pool: Executor | None = None,
    ) -> None:
        self.engine = engine
        self.limits = limits or Limits()
        self.metrics = metrics or Metrics()
        self.is_ready = threading.Event()
        self.is_idle = threading.Event()
        """Set while nobody talks and no answer is being made."""
        self.is_draining = False
        self.failure: BaseException | None = None
        self._make_vad = make_vad
        self._guards = guards or GuardSet()
        self._guard_pool = guard_pool or ThreadPoolExecutor(1, thread_name_prefix="guards")
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._scheduler = Scheduler()
        self._talks: dict[int, _Talk] = {}
        self._answers: deque[_Making] = deque()
        self._seeds = itertools.count(1)
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    # ---- called from the event loop

    def start(self) -> None:
        """Warm up and begin; `is_ready` is set once the engine has run every path."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; open sessions are closed with 1001."""
        self._commands.put(self._stop)
        self._thread.join(timeout=10)
        self._guard_pool.shutdown(wait=False)

    def drain(self) -> None:
        """Let in nobody new, let what is being said end, close each session with 1001."""
        self.is_draining = True
        self._commands.put(self._drain)

    def open_session(self, port: SessionPort, kind: str = "realtime") -> Future[int]:
        """Give a talker a slot. The future raises WireError if there is none."""
        done: Future[int] = Future()
        self._commands.put(lambda: self._resolve(done, lambda: self._open(port, kind)))
        return done

    def send(self, slot: int, session_port: SessionPort, prepared: Prepared) -> None:
        """Apply a client's event to the session in `slot`, if it is still that client's."""
        self._commands.put(lambda: self._apply(slot, session_port, prepared))

    def close_session(self, slot: int, session_port: SessionPort) -> None:
        """The client is gone: free its slot at once."""
        self._commands.put(lambda: self._close(slot, session_port))

    def start_answer(self, request: AnswerRequest, port: AnswerPort) -> Future[None]:
        """Make an answer. The future raises WireError if too many wait."""
        done: Future[None] = Future()
        self._commands.put(lambda: self._resolve(done, lambda: self._start_answer(request, port)))
        return done

    def drop_answer(self, port: AnswerPort) -> None:
        """Nobody waits for this answer any more."""
        self._commands.put(lambda: self._drop(lambda making: making.port is port))

    def make_guards(self) -> SessionGuards:
        """Guards for one HTTP answer."""
        return SessionGuards(self._guards, self._guard_pool)

    @property
    def num_talkers(self) -> int:
        """Sessions open now."""
        return len(self._talks)

    # ---- the thread

    def _run(self) -> None:
        try:
            self._warm_up()
            self.is_ready.set()
            while not self._is_stopping:
                self._turn()
        except BaseException as error:
            _log.exception("the engine's thread ended")
            self.failure = error
            for talk in self._talks.values():
                talk.port.deliver([], 1011)
            for making in self._answers:
                making.port.end(error if isinstance(error, Exception) else RuntimeError("the engine stopped"))

    def _warm_up(self) -> None:
        """Run every path once: first runs of compiled graphs are slow."""
        slots = range(self.engine.num_slots)
        vad = self._make_vad()
        for slot in slots:
            self.engine.open_slot(slot)
        silence = np.zeros(USER_FRAME_SAMPLES, np.float32)
        vad.feed(silence)
        for count in {1, self.engine.num_slots}:
            for force in (None, "speak", None, "stop"):
                inputs = {slot: SlotInput(silence, may_speak=False, force=force) for slot in list(slots)[:count]}
                self.engine.step(inputs)
        for slot in slots:
            self.engine.close_slot(slot)
        self.metrics.slots.set(self.engine.num_slots)

    def _turn(self) -> None:
        while True:
            try:
                self._commands.get_nowait()()
            except queue.Empty:
                break
        now_s = time.monotonic()
        self._poll_sessions(now_s)
        waiting = sum(not making.port.is_full for making in self._answers)
        due_s = {slot: at for slot, talk in self._talks.items() if (at := talk.session.due_s(now_s)) is not None}
        action = self._scheduler.choose(now_s, due_s, waiting)
        if isinstance(action, Step):
            self.metrics.lateness_s.observe(self._scheduler.lateness_s)
            self._step(action.slots)
        elif isinstance(action, AdvanceAnswer):
            self._advance_answer()
        else:
            self._sleep(action, now_s)

    def _sleep(self, action: Sleep, now_s: float) -> None:
        (self.is_idle.clear if self._talks or self._answers else self.is_idle.set)()
        needs_poll = any(talk.session.needs_poll for talk in self._talks.values())
        longest_s = _POLL_S if needs_poll else _IDLE_S
        try:
            self._commands.get(timeout=max(0.0, min(action.until_s - now_s, longest_s)))()
        except queue.Empty:
            return

    def _step(self, slots: tuple[int, ...]) -> None:
        started_s = time.monotonic()
        inputs = {}
        try:
            for slot in slots:
                inputs[slot] = self._prepare_slot(slot, self._talks[slot].session, started_s)
            outputs = self._step_engine(inputs)
        except Exception:
            _log.exception("a clock step of slots %s failed", slots)
            self.metrics.engine_failures.inc()
            for slot in slots:
                self._fail(slot)
            return
        ended_s = time.monotonic()
        for slot, output in outputs.items():
            self._talks[slot].session.absorb(output, ended_s)
            self._flush(slot)
        self._scheduler.note_step(ended_s - started_s)
        self.metrics.step_s.observe(ended_s - started_s)
        self.metrics.steps.inc(len(slots))

    def _step_engine(self, inputs: dict[int, SlotInput]) -> dict[int, SlotOutput]:
        """One batch. An insert that the model cannot take is refused by name, and only its own talker goes without it."""
        try:
            return self.engine.step(inputs)
        except DataError:
            outputs: dict[int, SlotOutput] = {}
            for slot, given in inputs.items():
                try:
                    outputs |= self.engine.step({slot: given})
                except DataError as error:
                    refusal = WireError(f"the model could not take this in: {error}", code="context_refused")
                    self._talks[slot].session.refuse(refusal)
                    outputs |= self.engine.step({slot: replace(given, inserts=())})
            return outputs

    def _prepare_slot(self, slot: int, session: RealtimeSession, now_s: float) -> SlotInput:
        plan = session.plan(now_s)
        given = plan.input
        for operation in plan.operations:
            if isinstance(operation, Reopen):
                self._reopen(slot, operation.system)
                continue
            try:
                self.engine.rewind(slot, operation.frame_idx)
            except DataError:
                # too long ago for the engine: make the context anew from the record
                self._reopen(slot, session.settings.instructions)
                given = replace(given, inserts=(*session.items.to_conversation().messages, *given.inserts))
        return given

    def _reopen(self, slot: int, system: str) -> None:
        self.engine.close_slot(slot)
        try:
            self.engine.open_slot(slot, system, seed=next(self._seeds))
        except DataError as error:
            refusal = WireError(
                f"the instructions do not fit: {error}", code="context_refused", param="session.instructions"
            )
            self._talks[slot].session.refuse(refusal)
            self.engine.open_slot(slot, "", seed=next(self._seeds))

    def _advance_answer(self) -> None:
        making = next(making for making in self._answers if not making.port.is_full)
        self._answers.remove(making)
        started_s = time.monotonic()
        error: Exception | None = None
        is_over = False
        try:
            delta = next(making.pieces)
            making.spoken_samples += len(delta.pcm) if delta.pcm is not None else 0
            making.port.deliver(delta)
        except StopIteration:
            is_over = True
        except Exception as failure:
            if not isinstance(failure, DataError):
                _log.exception("an answer failed")
            error, is_over = failure, True
        ended_s = time.monotonic()
        self._scheduler.note_answer(ended_s - started_s, ended_s)
        too_long = making.spoken_samples > self.limits.max_answer_s * 24_000 or ended_s > making.deadline_s
        if is_over or too_long:
            self._end_answer(making, error)
        else:
            self._answers.append(making)
        if isinstance(making.port, _SessionAnswer):
            self._flush_session(making.port.session)

    def _end_answer(self, making: _Making, error: Exception | None) -> None:
        _close_iterator(making.pieces)
        making.port.end(error)
        self.metrics.answers.set(len(self._answers))
        self.metrics.answers_total.labels("failed" if error else "completed").inc()

    def _poll_sessions(self, now_s: float) -> None:
        for slot in list(self._talks):
            self._talks[slot].session.poll(now_s)
            self._flush(slot)

    def _flush_session(self, session: RealtimeSession) -> None:
        for slot, talk in list(self._talks.items()):
            if talk.session is session:
                self._flush(slot)

    def _flush(self, slot: int) -> None:
        """Send what the session left, start and drop the answers it asked for, and end it if it is closed."""
        talk = self._talks[slot]
        session = talk.session
        events = session.take_events()
        for event in events:
            self.metrics.note_event(event)
        for finding in session.findings:
            self.metrics.findings.labels(finding.guard, finding.category).inc()
        session.findings.clear()
        dropped, session.replies.to_drop = session.replies.to_drop, []
        asked, session.replies.to_start = session.replies.to_start, []
        for response_id in dropped:
            self._drop(lambda making, key=response_id: making.key == key)
        if events or session.close_code is not None:
            messages = [json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in events]
            talk.port.deliver(messages, session.close_code)
        for response_id, request in asked:
            if response_id not in dropped:
                self._begin_session_answer(session, response_id, request)
        if session.close_code is not None:
            self._free(slot)

    # ---- commands, run by the thread

    def _open(self, port: SessionPort, kind: str) -> int:
        free = next((slot for slot in range(self.engine.num_slots) if slot not in self._talks), None)
        reason = None
        if self.is_draining:
            reason = "server_draining"
            message = "the server is shutting down"
        elif free is None:
            reason = "server_busy"
            message = (
                f"all {self.engine.num_slots} places to talk are taken; try again later, or start with more --slots"
            )
        elif self._scheduler.is_overloaded:
            reason = "server_late"
            message = (
                f"the server is {self._scheduler.lateness_s:.1f} s late with those who talk already; try again later"
            )
        if reason is not None:
            self.metrics.refused.labels(reason).inc()
            raise WireError(message, code=reason, kind="server_error")
        assert free is not None
        settings = Settings(
            model=self.engine.model_name,
            voices=self.engine.voices,
            kind=kind,  # type: ignore[arg-type]
            output_modality="audio" if self.engine.voices else "text",
        )
        session = RealtimeSession(
            make_id("sess"),
            settings,
            limits=self.limits,
            make_vad=self._make_vad,
            guards=SessionGuards(self._guards, self._guard_pool),
            new_id=make_id,
            now_s=time.monotonic(),
            can_draw="image" in self.engine.modalities_out,
        )
        self.engine.open_slot(free, settings.instructions, seed=next(self._seeds))
        self._talks[free] = _Talk(session, port)
        self.metrics.sessions_total.inc()
        self.metrics.sessions.set(len(self._talks))
        self._flush(free)
        return free

    def _apply(self, slot: int, port: SessionPort, prepared: Prepared) -> None:
        port.unapplied -= 1
        talk = self._talks.get(slot)
        if talk is None or talk.port is not port:
            return
        try:
            apply_event(talk.session, prepared, time.monotonic())
        except Exception:
            _log.exception("a client's event failed")
            self.metrics.engine_failures.inc()
            self._fail(slot)
            return
        self._flush(slot)

    def _fail(self, slot: int) -> None:
        """Our own mistake: end the session with a typed error; the others go on."""
        session = self._talks[slot].session
        session.refuse(WireError("the server failed; start another session", code="server_error", kind="server_error"))
        session.close(1011)
        self._flush(slot)

    def _close(self, slot: int, port: SessionPort) -> None:
        talk = self._talks.get(slot)
        if talk is not None and talk.port is port:
            talk.session.close(1000)
            self._free(slot)

    def _free(self, slot: int) -> None:
        talk = self._talks.pop(slot)
        self._drop(lambda making: isinstance(making.port, _SessionAnswer) and making.port.session is talk.session)
        self.engine.close_slot(slot)
        self.metrics.sessions.set(len(self._talks))

    def _start_answer(self, request: AnswerRequest, port: AnswerPort) -> None:
        if self.is_draining or len(self._answers) >= self.limits.max_answers:
            reason = "server_draining" if self.is_draining else "server_busy"
            self.metrics.refused.labels(reason).inc()
            raise WireError(
                "the server is shutting down"
                if self.is_draining
                else f"{len(self._answers)} answers are being made; at most {self.limits.max_answers} (max_answers)",
                code=reason,
                kind="server_error",
            )
        self._begin_answer(request, port, "")

    def _begin_answer(self, request: AnswerRequest, port: AnswerPort, key: str) -> None:
        deadline_s = time.monotonic() + self.limits.max_answer_wait_s
        self._answers.append(_Making(self.engine.answer(request), port, deadline_s, key=key))
        self.metrics.answers.set(len(self._answers))

    def _begin_session_answer(self, session: RealtimeSession, response_id: str, request: AnswerRequest) -> None:
        port = _SessionAnswer(session, response_id)
        try:
            self._begin_answer(request, port, response_id)
        except DataError as error:
            port.end(error)
            self._flush_session(session)

    def _drop(self, is_it: Callable[[_Making], bool]) -> None:
        for making in [making for making in self._answers if is_it(making)]:
            self._answers.remove(making)
            _close_iterator(making.pieces)
            self.metrics.answers_total.labels("dropped").inc()
        self.metrics.answers.set(len(self._answers))

    def _drain(self) -> None:
        for talk in self._talks.values():
            talk.session.is_draining = True

    def _stop(self) -> None:
        self._is_stopping = True
        for slot, talk in list(self._talks.items()):
            talk.session.close(1001)
            self._flush(slot)
        for making in list(self._answers):
            making.port.end(RuntimeError("the server stopped"))

    @staticmethod
    def _resolve(done: Future[Any], work: Callable[[], Any]) -> None:
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)


def _close_iterator(pieces: Iterator[AnswerDelta]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
