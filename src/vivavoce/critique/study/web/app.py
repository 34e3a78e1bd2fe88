"""The study's web application: routes, the guard around every request, and serving."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vivavoce.critique.store import Store
from vivavoce.critique.study import accounts
from vivavoce.critique.study.plan import plan_from_json
from vivavoce.critique.study.refusals import Refusal
from vivavoce.critique.study.web import admin, labeller, validator
from vivavoce.critique.study.web.limits import RateLimit, RateLimits
from vivavoce.critique.study.web.requests import (
    COOKIE,
    HERE,
    check_origin,
    go,
    new_nonce,
    page,
    read_form,
    refuse,
    route,
)

log = logging.getLogger(__name__)
NUM_THREADS = 6
"""Requests answered at once; the rest wait their turn. chosen: enough that some may wait for the database."""
_HEADERS = {
    b"content-security-policy": b"default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    # the link in the address bar is a secret for other sites; `no-referrer` would also blank our own forms' origin
    b"referrer-policy": b"same-origin",
}


def make_app(
    store: Store,
    *,
    media_dir: Path | None = None,
    is_https: bool = False,
    limits: RateLimits = RateLimits(),  # noqa: B008
) -> Starlette:
    """The application over an open store.

    media_dir: where the files of pictures and sounds are. is_https: send the cookie over HTTPS alone. limits: of
    requests by one client.
    """
    app = Starlette(
        routes=[
            Route("/", route(labeller.start)),
            Route("/enter/{token}", _show_link),
            Route("/enter/{token}", _use_link, methods=["POST"]),
            Route("/leave", _leave, methods=["POST"]),
            Route("/consent", route(labeller.show_consent, is_consent_needed=False)),
            Route("/consent", route(labeller.give_consent, is_consent_needed=False), methods=["POST"]),
            *_labeller_routes(),
            *_validator_routes(),
            *_admin_routes(),
            Route("/health", lambda _: PlainTextResponse("ok")),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={404: _not_found},
        lifespan=_bound_threads,
    )
    app.state.store, app.state.media_dir, app.state.is_https = store, media_dir, is_https
    # the last added is the outermost, so that a refusal carries the headers too
    app.add_middleware(RateLimit, limits=limits)  # type: ignore[arg-type]  # as below
    app.add_middleware(Guard)  # type: ignore[arg-type]  # starlette's factory protocol does not see a plain class
    return app


@asynccontextmanager
async def _bound_threads(_: Starlette) -> AsyncIterator[None]:
    """Few threads: requests are Python rather than waiting, and forty that want the interpreter make each of them late."""
    current_default_thread_limiter().total_tokens = NUM_THREADS
    yield


def _labeller_routes() -> list[Route]:
    def at(path: str, handler: Callable, method: str = "GET") -> Route:
        return Route(path, route(handler, role="labeller"), methods=[method])

    return [
        at("/work", labeller.show_home),
        at("/work/next", labeller.take_next, "POST"),
        at("/withdraw", labeller.withdraw, "POST"),
        at("/item/{id}", labeller.show_item),
        at("/item/{id}/media/{thing}", labeller.send_media),
        at("/api/item/{id}/save", labeller.save, "POST"),
        at("/api/item/{id}/beat", labeller.beat, "POST"),
        at("/api/item/{id}/submit", labeller.submit, "POST"),
        at("/api/item/{id}/decline", labeller.decline, "POST"),
    ]


def _validator_routes() -> list[Route]:
    def at(path: str, handler: Callable, method: str = "GET") -> Route:
        return Route(path, route(handler, role="validator"), methods=[method])

    return [
        at("/check", validator.show_queue),
        at("/check/next", validator.take_next, "POST"),
        at("/check/{id}", validator.show_check),
        at("/check/{id}", validator.give_verdict, "POST"),
        at("/check/{id}/media/{thing}", validator.send_media),
    ]


def _admin_routes() -> list[Route]:
    def at(path: str, handler: Callable, method: str = "GET") -> Route:
        return Route(path, route(handler, role="admin"), methods=[method])

    return [
        at("/admin", admin.show),
        at("/admin/invite", admin.invite, "POST"),
        at("/admin/renew", admin.renew, "POST"),
        at("/admin/revoke", admin.revoke, "POST"),
        at("/admin/release", admin.release, "POST"),
        at("/admin/close", admin.close, "POST"),
        at("/admin/export/{name}", admin.export),
    ]


def _unsigned(handler: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for people who are not signed in yet."""

    async def endpoint(request: Request) -> Response:
        try:
            if request.method == "POST":
                await read_form(request)
                check_origin(request)
            return await run_in_threadpool(handler, request)
        except Refusal as refusal:
            return refuse(refusal, is_api=False)

    return endpoint


@_unsigned
def _show_link(request: Request) -> Response:
    with request.app.state.store.session() as session:
        person = accounts.find_invited(session, request.path_params["token"])
        return page("enter.html", title=plan_from_json(person.study.plan).title)


@_unsigned
def _use_link(request: Request) -> Response:
    with request.app.state.store.session() as session:
        cookie = accounts.sign_in(session, request.path_params["token"])
    answer = go("/")
    answer.set_cookie(COOKIE, cookie, httponly=True, samesite="lax", secure=request.app.state.is_https)
    return answer


@_unsigned
def _leave(request: Request) -> Response:
    with request.app.state.store.session() as session:
        accounts.sign_out(session, request.cookies.get(COOKIE))
    words = "You are signed out. Open your link again to go on where you stopped."
    answer = page("message.html", heading="Signed out", message=words)
    answer.delete_cookie(COOKIE)
    return answer


async def _not_found(request: Request, _: Exception) -> Response:
    refusal = Refusal("not_found", "There is no such page.", 404)
    return refuse(refusal, is_api=request.url.path.startswith("/api/"))


class Guard:
    """Security headers on every answer, nothing cached but the static files, and words for what went wrong inside."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_static = scope["path"].startswith("/static/")
        cache = b"public, max-age=300" if is_static else b"no-store"
        has_started = False

        async def send_guarded(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                message["headers"] = [*message["headers"], *_HEADERS.items(), (b"cache-control", cache)]
            await send(message)

        try:
            await self.app(scope, receive, send_guarded)
        except Exception:
            nonce = new_nonce()
            log.exception("request failed: %s %s (%s)", scope["method"], scope["path"].split("/")[1], nonce)
            if has_started:
                return
            words = f"Something went wrong here, and nothing was changed. Please try again; if it stays, quote {nonce}."
            refusal = Refusal("failed", words, 500)
            await refuse(refusal, is_api=scope["path"].startswith("/api/"))(scope, receive, send_guarded)
