"""What the HTTP surfaces share: the worker, decoding off the event loop, server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import ParamSpec, TypeVar

from fastapi import Request

from vivavoce.errors import VivaError
from vivavoce.serve.worker import Worker

P = ParamSpec("P")
T = TypeVar("T")


def get_worker(request: Request) -> Worker:
    """The worker of the application."""
    return request.app.state.worker


async def run_decoding(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run something slow (decoding, encoding) in a thread: the event loop never computes."""
    return await asyncio.to_thread(work, *arguments, **named)


async def send_events(messages: AsyncIterator[str]) -> AsyncIterator[str]:
    """Server-sent events; an error in mid-stream becomes a last event, for the status is sent already."""
    try:
        async for message in messages:
            yield f"data: {message}\n\n"
    except VivaError as error:
        body = {"error": {"message": str(error), "type": "server_error", "param": None, "code": "answer_failed"}}
        yield f"data: {json.dumps(body)}\n\n"
