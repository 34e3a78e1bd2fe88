"""How often one client may ask: a bucket of requests per sign-in and a larger one per address, both refilled by the clock.

A sign-in's bucket is named by its cookie, so that a lab behind one address works; made-up cookies meet the address's.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from vivavoce.critique.study.refusals import Refusal, too_many
from vivavoce.critique.study.web.requests import COOKIE, refuse

# chosen: clients remembered at once; the one that was quiet longest is forgotten, which gives it a full bucket again
MAX_CLIENTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A bucket: `burst` requests at once, `rate_hz` a second after that."""

    rate_hz: float
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What one client may send. chosen: a person's page makes one or two requests a second at most."""

    per_sign_in: Allowance = Allowance(rate_hz=10, burst=60)
    """Requests with one sign-in's cookie."""
    per_address: Allowance = Allowance(rate_hz=200, burst=600)
    """Requests from one address, static files apart: a whole lab may share it."""


class Buckets:
    """Token buckets by name. Not for several threads: the event loop alone takes from them."""

    def __init__(self, allowance: Allowance, *, now: Callable[[], float] = time.monotonic) -> None:
        self.allowance, self.now = allowance, now
        self._level: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> bool:
        """Whether a request by `name` may pass; one that may is counted."""
        now = self.now()
        level, at = self._level.get(name, (float(self.allowance.burst), now))
        level = min(self.allowance.burst, level + (now - at) * self.allowance.rate_hz)
        is_free = level >= 1
        self._level[name] = (level - is_free, now)
        self._level.move_to_end(name)
        if len(self._level) > MAX_CLIENTS:
            self._level.popitem(last=False)
        return is_free


class RateLimit:
    """Answers 429 with the bound and when to try again; a page of ours keeps its work and tries again by itself."""

    def __init__(self, app: ASGIApp, *, limits: RateLimits, now: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self.by_sign_in = Buckets(limits.per_sign_in, now=now)
        self.by_address = Buckets(limits.per_address, now=now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        is_counted = scope["type"] == "http" and not scope["path"].startswith(("/static/", "/health"))
        refusal = self._find_refusal(Request(scope)) if is_counted else None
        if refusal is None:
            await self.app(scope, receive, send)
            return
        answer = refuse(refusal, is_api=scope["path"].startswith("/api/"))
        answer.headers["retry-after"] = "1"  # both buckets refill with more than one request a second
        await answer(scope, receive, send)

    def _find_refusal(self, request: Request) -> Refusal | None:
        host = request.client.host if request.client is not None else "unknown"
        named = [("address", self.by_address, host)]
        cookie = request.cookies.get(COOKIE, "")[:100]
        if cookie:
            named.insert(0, ("sign-in", self.by_sign_in, cookie))
        for whose, buckets, name in named:
            if not buckets.take(name):
                return too_many(whose, buckets.allowance.rate_hz, buckets.allowance.burst)
        return None
