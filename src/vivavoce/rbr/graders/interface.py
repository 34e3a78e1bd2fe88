"""What every grader is: it answers propositions about one completion with probabilities, or says why it can't.

A grader has an `identity` (what its answers depend on) and counts its `usage`. Graders are asynchronous, because some
wait for endpoints; `grade_all` bounds how many requests run at once, and `grade_all_now` serves synchronous callers.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeVar

from vivavoce.content import Message
from vivavoce.grading import Grade, Ungraded

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A conversation that ends with the user's turn, and the completion under judgement."""

    prompt: tuple[Message, ...]
    completion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeRequest:
    """The propositions to grade of one completion."""

    item: Item
    propositions: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Usage:
    """What grading cost so far. seconds: time spent inside the grader; cost in the unit of the prices given."""

    num_requests: int = 0
    num_grades: int = 0
    num_cached: int = 0
    num_calls: int = 0
    num_retries: int = 0
    num_ungraded: int = 0
    input_tokens: int = 0
    saved_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0

    def add(self, other: Usage) -> None:
        """Add another count to this one."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))

    def to_json(self) -> dict[str, float]:
        """Plain JSON."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


class Grader(Protocol):
    """See the module docstring."""

    identity: str

    @property
    def usage(self) -> Usage:
        """What it has done so far."""
        ...

    async def grade(self, request: GradeRequest) -> dict[str, Grade]:
        """A grade for every proposition of the request. Raises: nothing that concerns one completion only."""
        ...


@dataclass(slots=True)
class ScriptedGrader:
    """Answers from a table, for tests and dry runs: {completion: {proposition: probability}}, else `default`."""

    table: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    default: float | None = None
    identity: str = "scripted"
    usage: Usage = field(default_factory=Usage)

    async def grade(self, request: GradeRequest) -> dict[str, Grade]:
        """Look every proposition up."""
        from vivavoce.grading import grade_probability

        row = self.table.get(request.item.completion, {})
        values = {name: row.get(name, self.default) for name in request.propositions}
        return {
            name: Ungraded("missing", "not in the script") if value is None else grade_probability(value)
            for name, value in values.items()
        }


def refuse_empty(request: GradeRequest) -> dict[str, Grade] | None:
    """Ungraded for every proposition when there is nothing to read, else None."""
    if request.item.completion.strip():
        return None
    return dict.fromkeys(request.propositions, Ungraded("empty", "the completion is empty"))


async def grade_all(
    grader: Grader, requests: Sequence[GradeRequest], *, max_concurrent: int = 16
) -> list[dict[str, Grade]]:
    """Grades of all requests, in their order, at most `max_concurrent` at once.

    A grader that raises leaves its request ungraded (`error`); the others go on.
    """
    gate = asyncio.Semaphore(max_concurrent)

    async def one(request: GradeRequest) -> dict[str, Grade]:
        async with gate:
            try:
                return await grader.grade(request)
            except Exception as error:  # a boundary: one sample must not end the rest
                failed = Ungraded("error", f"{type(error).__name__}: {error}")
                return dict.fromkeys(request.propositions, failed)

    return list(await asyncio.gather(*(one(request) for request in requests)))


def grade_all_now(
    grader: Grader, requests: Sequence[GradeRequest], *, max_concurrent: int = 16
) -> list[dict[str, Grade]]:
    """`grade_all` for a synchronous caller, inside a running event loop or not."""
    return run_now(grade_all(grader, requests, max_concurrent=max_concurrent))


def run_now(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine to its end from synchronous code, whether or not this thread runs an event loop.

    All such work shares one loop on a thread of its own, because clients of endpoints keep connections of their loop.
    """
    return asyncio.run_coroutine_threadsafe(work, _start_loop()).result()


@functools.cache
def _start_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="grading", daemon=True).start()
    return loop
