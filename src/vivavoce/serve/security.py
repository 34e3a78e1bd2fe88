"""Who may come in: address, key, origin, size. One ASGI layer before everything else, sockets included.

Bound to loopback the server needs no key, but it still refuses pages of other sites: their scripts can reach
127.0.0.1 too. Bound to any other address it demands a key.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from vivavoce.errors import ConfigError
from vivavoce.serve.limits import Limits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
KEY_PROTOCOL = "openai-insecure-api-key."
"""How a browser's WebSocket carries a key, since it can set no header; OpenAI's own name for it."""
_OPEN_PATHS = ("/", "/healthz", "/favicon.ico")


def is_loopback(host: str) -> bool:
    """Whether an address is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where the server listens and whom it lets in."""

    host: str = "127.0.0.1"
    port: int = 8000
    key: str | None = None
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.key:
            raise ConfigError(
                f"host is {self.host}, which others can reach, and there is no key; set VIVA_KEY or --key-file, "
                "or listen on 127.0.0.1"
            )
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port is {self.port}; need 0 to 65535")
        for origin in self.origins:
            if urlsplit(origin).scheme not in ("http", "https") or not urlsplit(origin).netloc:
                raise ConfigError(f"origin is {origin!r}; need scheme and host, as in https://example.org")


class Gate:
    """The layer itself. It also reads a request's whole body, so that its size is known before anyone works on it."""

    def __init__(self, app: App, config: ServerConfig, limits: Limits) -> None:
        self._app = app
        self._config = config
        self._max_body_bytes = limits.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in, or refuse with a typed error (HTTP) or a closed handshake (WebSocket)."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refuse(scope)
        if refusal is None and scope["type"] == "http":
            body, refusal = await self._read_body(scope, receive)
            receive = _replay(body, receive)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[2][:120]})
        else:
            await _send_error(send, *refusal)

    def _refuse(self, scope: Scope) -> tuple[int, str, str] | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if is_loopback(self._config.host) and not is_loopback(_hostname(host)):
            return 403, "host_not_allowed", f"host is {host!r:.80}; this server answers to 127.0.0.1 and localhost only"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host and origin not in self._config.origins:
            return (
                403,
                "origin_not_allowed",
                f"origin is {origin!r:.80}; allow it with --origin, or use the server's own page",
            )
        path = scope["path"]
        is_open = path in _OPEN_PATHS or path.startswith("/static/")
        if self._config.key and not is_open and not _has_key(headers, self._config.key):
            return 401, "invalid_api_key", "the key is missing or wrong; send Authorization: Bearer KEY"
        return None

    async def _read_body(self, scope: Scope, receive: Receive) -> tuple[bytes, tuple[int, str, str] | None]:
        limit = self._max_body_bytes
        refusal = (413, "request_too_large", f"the body is over {limit} bytes (max_body_bytes); send less")
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > limit:
            return b"", refusal
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b"", (400, "disconnected", "the client left before its request was whole")
            body += message.get("body", b"")
            if len(body) > limit:
                return b"", refusal
            if not message.get("more_body", False):
                return bytes(body), None


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> MutableMapping[str, Any]:
        return waiting.pop() if waiting else await receive()

    return replay


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _has_key(headers: dict[str, str], key: str) -> bool:
    offered = [word.strip() for word in headers.get("sec-websocket-protocol", "").split(",")]
    given = [word.removeprefix(KEY_PROTOCOL) for word in offered if word.startswith(KEY_PROTOCOL)]
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        given.append(token.strip())
    return any(hmac.compare_digest(word.encode(), key.encode()) for word in given)


async def _send_error(send: Send, status: int, code: str, message: str) -> None:
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})
