"""Answers being made turn by turn, in the order in which they get time; one piece each time. Run by the worker's thread."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vivavoce.errors import DataError
from vivavoce.omni.engine_protocol import AnswerDelta, AnswerRequest, DuplexEngine
from vivavoce.serve.limits import Limits
from vivavoce.serve.metrics import Metrics
from vivavoce.serve.ports import AnswerPort
from vivavoce.serve.session import RealtimeSession

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class SessionAnswer:
    """The port of an answer that a session asked for."""

    session: RealtimeSession
    response_id: str
    is_full: bool = field(default=False, init=False)

    def deliver(self, delta: AnswerDelta) -> None:
        """See `AnswerPort`."""
        self.session.replies.absorb(self.response_id, delta)

    def end(self, error: Exception | None) -> None:
        """See `AnswerPort`."""
        self.session.replies.absorb(self.response_id, None, str(error) if error else None)


@dataclass(slots=True, eq=False)
class Making:
    """An answer being made. key: the response's id, where a session asked for it."""

    pieces: Iterator[AnswerDelta]
    port: AnswerPort
    deadline_s: float
    key: str = ""
    spoken_samples: int = 0


class Answers:
    """All answers being made."""

    def __init__(self, engine: DuplexEngine, limits: Limits, metrics: Metrics) -> None:
        self._engine = engine
        self._limits = limits
        self._metrics = metrics
        self._waiting: deque[Making] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def num_ready(self) -> int:
        """Answers whose reader keeps up, so that they can go on."""
        return sum(not making.port.is_full for making in self._waiting)

    def begin(self, request: AnswerRequest, port: AnswerPort, key: str = "") -> None:
        """Queue an answer. Raises: DataError if the engine refuses it at once."""
        deadline_s = time.monotonic() + self._limits.max_answer_wait_s
        self._waiting.append(Making(self._engine.answer(request), port, deadline_s, key))
        self._metrics.answers.set(len(self._waiting))

    def advance(self) -> AnswerPort:
        """Make the next piece of the answer that has waited longest; returns whose it was."""
        making = next(making for making in self._waiting if not making.port.is_full)
        self._waiting.remove(making)
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
        too_long = making.spoken_samples > self._limits.max_answer_s * 24_000
        if is_over or too_long or time.monotonic() > making.deadline_s:
            self._end(making, error)
        else:
            self._waiting.append(making)
        return making.port

    def _end(self, making: Making, error: Exception | None) -> None:
        close_pieces(making.pieces)
        making.port.end(error)
        self._metrics.answers.set(len(self._waiting))
        self._metrics.answers_total.labels("failed" if error else "completed").inc()

    def drop(self, is_it: Callable[[Making], bool]) -> None:
        """Nobody waits for these any more."""
        for making in [making for making in self._waiting if is_it(making)]:
            self._waiting.remove(making)
            close_pieces(making.pieces)
            self._metrics.answers_total.labels("dropped").inc()
        self._metrics.answers.set(len(self._waiting))

    def end_all(self, error: Exception) -> None:
        """The server stops."""
        for making in self._waiting:
            making.port.end(error)


def close_pieces(pieces: Iterator[AnswerDelta]) -> None:
    """Let an iterator give back what it holds, before its end."""
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
