"""The one thread that computes: it owns the engine, its slots (`slot_steps`), the sessions (`talks`), answers (`making`).

The event loop only moves bytes: it puts commands into a queue here, and gets messages back through ports. All state is
touched by this thread alone, so there are no locks.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from vivavoce.omni.engine_protocol import USER_FRAME_SAMPLES, AnswerRequest, DuplexEngine, SlotInput
from vivavoce.serve.client_events import Prepared
from vivavoce.serve.guards.session_guards import GuardSet, SessionGuards
from vivavoce.serve.limits import Limits
from vivavoce.serve.making import Answers, SessionAnswer
from vivavoce.serve.metrics import Metrics
from vivavoce.serve.ports import AnswerPort, SessionPort
from vivavoce.serve.scheduler import Advance, Scheduler, Sleep, Step
from vivavoce.serve.slot_steps import SlotSteps
from vivavoce.serve.talks import Talks
from vivavoce.serve.vad import VoiceActivity
from vivavoce.serve.wire import WireError

_log = logging.getLogger(__name__)
_POLL_S = 0.01
_IDLE_S = 0.1


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
        self._steps = SlotSteps(engine)
        self._answers = Answers(engine, self.limits, self.metrics)
        self._talks = Talks(
            engine,
            self._steps,
            self._answers,
            make_vad=make_vad,
            make_guards=self.make_guards,
            limits=self.limits,
            metrics=self.metrics,
        )
        self._is_slots_turn = True
        """Whether a held slot or an answer gets the next free time, where both wait."""
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
        self._commands.put(lambda: self._talks.apply(slot, session_port, prepared))

    def close_session(self, slot: int, session_port: SessionPort) -> None:
        """The client is gone: free its slot at once."""
        self._commands.put(lambda: self._talks.close(slot, session_port))

    def start_answer(self, request: AnswerRequest, port: AnswerPort) -> Future[None]:
        """Make an answer. The future raises WireError if too many wait."""
        done: Future[None] = Future()
        self._commands.put(lambda: self._resolve(done, lambda: self._start_answer(request, port)))
        return done

    def drop_answer(self, port: AnswerPort) -> None:
        """Nobody waits for this answer any more."""
        self._commands.put(lambda: self._answers.drop(lambda making: making.port is port))

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
            for talk in self._talks:
                talk.port.deliver([], 1011)
            self._answers.end_all(error if isinstance(error, Exception) else RuntimeError("the engine stopped"))

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
        self._talks.poll(now_s)
        action = self._scheduler.choose(
            now_s, self._talks.due_s(now_s), self._answers.num_ready + self._steps.num_in_pieces
        )
        if isinstance(action, Step):
            self.metrics.lateness_s.observe(self._scheduler.lateness_s)
            self._step(action.slots)
        elif isinstance(action, Advance):
            self._advance()
        elif not self._try_early(action, now_s):
            self._sleep(action, now_s)

    def _sleep(self, action: Sleep, now_s: float) -> None:
        (self.is_idle.clear if self._talks or self._answers else self.is_idle.set)()
        longest_s = _POLL_S if self._talks.needs_poll else _IDLE_S
        try:
            self._commands.get(timeout=max(0.0, min(action.until_s - now_s, longest_s)))()
        except queue.Empty:
            return

    def _step(self, slots: tuple[int, ...]) -> None:
        started_s = time.monotonic()
        sessions = self._talks.sessions
        try:
            outputs = self._steps.step({slot: sessions[slot] for slot in slots}, started_s)
        except Exception:
            _log.exception("a clock step of slots %s failed", slots)
            for slot in slots:
                self._talks.fail(slot)
            return
        ended_s = time.monotonic()
        for slot in slots:
            if slot in outputs:
                self._talks.absorb(slot, outputs[slot], ended_s)
                if outputs[slot].event == "speak":
                    self.metrics.first_sound_step_s.observe(ended_s - started_s)
            else:
                self._talks.flush(slot)
        if self._steps.num_stepped:
            self._note_step(started_s, ended_s)

    def _try_early(self, action: Sleep, now_s: float) -> bool:
        """Ask the model before its clock step is complete whether it takes the turn; whether there was anyone to ask it for."""
        if not self._scheduler.has_time_to_foresee(now_s, action.until_s):
            return False
        inputs = self._talks.foresee()
        if not inputs:
            return False
        try:
            outputs = self._steps.try_early(inputs)
        except Exception:
            _log.exception("a step of slots %s before its time failed", tuple(inputs))
            for slot in inputs:
                self._talks.fail(slot)
            return True
        ended_s = time.monotonic()
        self._note_step(now_s, ended_s)
        self.metrics.early_tries.inc(len(inputs))
        for slot, output in outputs.items():
            self.metrics.early_starts.inc()
            self._talks.take_early(slot, inputs[slot], output, ended_s)
            self.metrics.first_sound_step_s.observe(ended_s - now_s)
        return True

    def _note_step(self, started_s: float, ended_s: float) -> None:
        self._scheduler.note_step(ended_s - started_s)
        self.metrics.step_s.observe(ended_s - started_s)
        self.metrics.steps.inc(self._steps.num_stepped)

    def _advance(self) -> None:
        """Use free time: a piece of a held slot's work, or of an answer, by turns."""
        started_s = time.monotonic()
        has_both = self._steps.num_in_pieces and self._answers.num_ready
        if self._steps.num_in_pieces and (self._is_slots_turn or not has_both):
            self._advance_slot()
        else:
            port = self._answers.advance()
            if isinstance(port, SessionAnswer):
                self._talks.flush_session(port.session)
        if has_both:
            self._is_slots_turn = not self._is_slots_turn
        ended_s = time.monotonic()
        self._scheduler.note_answer(ended_s - started_s, ended_s)

    def _advance_slot(self) -> None:
        try:
            outputs = self._steps.advance(self._talks.sessions)
        except Exception:
            _log.exception("work on a held slot failed")
            for slot in [slot for slot in self._talks.sessions if self._steps.is_held(slot)]:
                self._talks.fail(slot)
            return
        for slot, output in outputs.items():
            self._talks.absorb(slot, output, time.monotonic())

    # ---- commands, run by the thread

    def _open(self, port: SessionPort, kind: str) -> int:
        try:
            if self.is_draining:
                raise WireError("the server is shutting down", code="server_draining", kind="server_error")
            if self._scheduler.is_overloaded and 0 < len(self._talks) < self.engine.num_slots:
                raise WireError(
                    f"the server is {self._scheduler.lateness_s:.1f} s late with those who talk already; try again later",
                    code="server_late",
                    kind="server_error",
                )
            return self._talks.open(port, kind)
        except WireError as error:
            self.metrics.refused.labels(error.code).inc()
            raise

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
        self._answers.begin(request, port)

    def _drain(self) -> None:
        for talk in self._talks:
            talk.session.is_draining = True

    def _stop(self) -> None:
        self._is_stopping = True
        self._talks.close_all(1001)
        self._answers.end_all(RuntimeError("the server stopped"))

    @staticmethod
    def _resolve(done: Future[Any], work: Callable[[], Any]) -> None:
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)
