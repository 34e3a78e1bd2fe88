"""A layer that reads a request's body before the application does, and refuses one over a bound.

The bytes that come are counted, not those that are declared: a body sent in chunks declares none.
"""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """ASGI layer: bodies of up to `max_bytes` go on whole, longer ones are answered with 413 and read no further."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        is_whole = False
        while not is_whole:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                detail = f"body is over {self._max_bytes} bytes; send a shorter sound"
                await JSONResponse({"detail": detail}, status_code=413)(scope, receive, send)
                return
            is_whole = not message.get("more_body", False)
        waiting: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, replay, send)
