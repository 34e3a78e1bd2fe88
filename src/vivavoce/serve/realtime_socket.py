"""`WS /v1/realtime`: bytes between a client's socket and its session in the worker. Computes nothing."""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.websockets import WebSocket, WebSocketDisconnect

from vivavoce.serve.client_events import DIRECT_BYTES, Prepared, prepare
from vivavoce.serve.limits import Limits
from vivavoce.serve.ports import make_id
from vivavoce.serve.wire import WireError
from vivavoce.serve.worker import Worker

_log = logging.getLogger(__name__)
_MAX_UNAPPLIED = 256
"""Events of one client that wait for the worker; past that its socket is not read."""


class SocketPort:
    """A session's way out: a queue that the worker fills and the socket's sender empties."""

    def __init__(self, max_unsent_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._max_unsent_bytes = max_unsent_bytes
        self._unsent_bytes = 0
        self.close_code = 1000
        self.is_closed = False
        self.unapplied = 0
        """Client events sent to the worker and not applied yet."""

    def deliver(self, messages: list[str], close_code: int | None) -> None:
        """See `SessionPort`."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._put, messages, close_code)

    def _put(self, messages: list[str], close_code: int | None) -> None:
        if self.is_closed:
            return
        for message in messages:
            self._unsent_bytes += len(message)
            self._queue.put_nowait(message)
        if self._unsent_bytes > self._max_unsent_bytes and close_code is None:
            close_code = 1008  # the client does not read; what it missed is lost to it
        if close_code is not None:
            self.is_closed, self.close_code = True, close_code
            self._queue.put_nowait(None)

    def close(self) -> None:
        """Nothing more will be sent."""
        self.is_closed = True
        self._queue.put_nowait(None)

    async def pump(self, websocket: WebSocket) -> None:
        """Send until closed, then close the socket."""
        while (message := await self._queue.get()) is not None:
            await websocket.send_text(message)
            self._unsent_bytes -= len(message)
        await websocket.close(self.close_code)


class RateLimit:
    """At most `per_s` events a second, with two seconds' worth saved up."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._saved = 2 * per_s
        self._at_s = time.monotonic()
        self.is_told = False

    def take(self) -> bool:
        """Whether one more event is allowed now."""
        now_s = time.monotonic()
        self._saved = min(2 * self._per_s, self._saved + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._saved < 1:
            return False
        self._saved -= 1
        self.is_told = False
        return True


async def serve_realtime(websocket: WebSocket, worker: Worker) -> None:
    """One client, from handshake to close."""
    offered = websocket.scope.get("subprotocols", [])
    await websocket.accept(subprotocol="realtime" if "realtime" in offered else None)
    port = SocketPort(worker.limits.max_unsent_bytes)
    kind = "transcription" if websocket.query_params.get("intent") == "transcription" else "realtime"
    try:
        slot = await asyncio.wrap_future(worker.open_session(port, kind))
    except WireError as error:
        event = {"type": "error", "event_id": make_id("event"), "error": error.to_wire()}
        await websocket.send_json(event)
        await websocket.close(1001 if error.code == "server_draining" else 1013)
        return
    sender = asyncio.create_task(port.pump(websocket))
    receiver = asyncio.create_task(_receive(websocket, worker, slot, port))
    try:
        await asyncio.wait((sender, receiver), return_when=asyncio.FIRST_COMPLETED)
    finally:
        worker.close_session(slot, port)
        port.close()
        for task in (sender, receiver):
            task.cancel()
        for outcome in await asyncio.gather(sender, receiver, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect | RuntimeError | OSError):
                _log.error("a realtime connection failed", exc_info=outcome)


async def _receive(websocket: WebSocket, worker: Worker, slot: int, port: SocketPort) -> None:
    rate = RateLimit(worker.limits.max_events_per_s)
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if not rate.take():
            if not rate.is_told:
                rate.is_told = True
                port.unapplied += 1
                worker.send(slot, port, _refuse_rate(worker.limits))
            continue
        prepared = await _prepare(message, worker.limits)
        port.unapplied += 1
        worker.send(slot, port, prepared)
        while port.unapplied > _MAX_UNAPPLIED:
            await asyncio.sleep(0.005)


async def _prepare(message, limits: Limits) -> Prepared:
    text = message.get("text")
    if text is None:
        size = len(message.get("bytes") or b"")
        error = WireError(
            f"a binary message of {size} bytes; events are JSON text, with sound in base64", code="invalid_message"
        )
        return Prepared(None, None, error=error)
    if len(text) > DIRECT_BYTES or "image_url" in text or "video_url" in text:
        return await asyncio.to_thread(prepare, text, limits)
    return prepare(text, limits)


def _refuse_rate(limits: Limits) -> Prepared:
    error = WireError(
        f"more than {limits.max_events_per_s:.0f} events a second (max_events_per_s); events are dropped until it is fewer",
        code="rate_limit_exceeded",
    )
    return Prepared(None, None, error=error)
