"""From an HTTP request to a transaction and back: who it is, what they sent, what they get when it is refused.

The event loop only reads and writes; each handler runs in a worker thread inside one transaction, which is committed
before the answer leaves, so that what a page was told is saved is saved.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from vivavoce.critique.store import Store
from vivavoce.critique.study import accounts, refusals
from vivavoce.critique.study.accounts import Signed
from vivavoce.critique.study.draft import MAX_BODY_BYTES
from vivavoce.critique.study.refusals import Refusal, SignedOut
from vivavoce.errors import DataError

COOKIE = "viva_study"
HERE = Path(__file__).parent
log = logging.getLogger(__name__)
templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request inside its transaction. `form` holds a form's fields or a JSON object, by method and content type."""

    session: Session
    signed: Signed
    form: dict[str, Any]
    path: dict[str, Any]
    query: dict[str, str]
    media_dir: Path | None
    base_url: str
    """Scheme and host by which the request came, for links to show."""

    def field(self, name: str) -> str:
        """A text field; empty if it was not sent."""
        value = self.form.get(name, "")
        return value if isinstance(value, str) else ""


Handler = Callable[[Call], Response]


def page(name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A rendered template; never cached, because what is true may change with the next request."""
    values.setdefault("title", values["signed"].plan.title if "signed" in values else "Study")
    return HTMLResponse(templates.get_template(name).render(values), status)


def go(path: str) -> RedirectResponse:
    """See another page, by GET: going back does not send a form again."""
    return RedirectResponse(path, 303)


def embed(value: Any) -> Any:
    """JSON that can stand inside a script element, whatever texts it holds."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False)
    for sign, code in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(sign, code)
    return Markup(text)


def route(
    handler: Handler, *, role: str | None = None, is_consent_needed: bool = True
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for signed-in people; with `role`, for that role alone. POST needs the sign-in's token and origin."""

    async def endpoint(request: Request) -> Response:
        is_api = request.url.path.startswith("/api/")
        try:
            form = await read_form(request) if request.method == "POST" else {}
            return await run_in_threadpool(_answer, request, form, handler, role, is_consent_needed)
        except Refusal as refusal:
            return refuse(refusal, is_api=is_api)
        except DataError as error:
            return refuse(Refusal("bad_data", str(error), 422), is_api=is_api)

    return endpoint


def _answer(
    request: Request, form: dict[str, Any], handler: Handler, role: str | None, is_consent_needed: bool
) -> Response:
    store: Store = request.app.state.store
    with store.session() as session:
        signed = accounts.find_signed(session, request.cookies.get(COOKIE))
        if request.method == "POST":
            check_origin(request)
            accounts.check_csrf(signed, request.headers.get("x-csrf") or str(form.get("csrf", "")))
        if role is not None and signed.person.role != role:
            raise refusals.not_found("page")
        if is_consent_needed and accounts.needs_consent(signed):
            return go("/consent")
        call = Call(
            session,
            signed,
            form,
            dict(request.path_params),
            dict(request.query_params),
            request.app.state.media_dir,
            str(request.base_url).rstrip("/"),
        )
        return handler(call)


async def read_form(request: Request) -> dict[str, Any]:
    """The fields of a form, or a JSON object, of a bounded size.

    Raises: Refusal `too_large` or `bad_request`.
    """
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise Refusal(
                "too_large", f"This is more than {MAX_BODY_BYTES} bytes; shorten the longest text and try again.", 413
            )
        chunks.append(chunk)
    data = b"".join(chunks)
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            value = json.loads(data)
            if isinstance(value, dict):
                return value
            raise ValueError("not an object")
        from urllib.parse import parse_qsl

        return dict(parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=100))
    except ValueError as error:
        raise Refusal(
            "bad_request", "The server could not read what was sent. Reload the page and try again.", 400
        ) from error


def check_origin(request: Request) -> None:
    """Refuse a POST that another site's page started.

    Raises: Refusal `csrf`.
    """
    origin = request.headers.get("origin")
    is_foreign = origin is not None and origin.split("://")[-1] != request.headers.get("host")
    if is_foreign or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refusal("csrf", "This request came from another site and was refused; nothing was changed.", 403)


def refuse(refusal: Refusal, *, is_api: bool) -> Response:
    """A refusal as a page, or as JSON for the page's own calls."""
    if is_api:
        return JSONResponse({"reason": refusal.reason, "message": refusal.message}, refusal.status)
    heading = {401: "Signed out", 403: "Not allowed", 404: "Not found"}.get(refusal.status, "That did not work")
    more = {} if isinstance(refusal, SignedOut) else {"link": "/", "link_text": "To the start page"}
    return page("message.html", status=refusal.status, heading=heading, message=refusal.message, **more)


def new_nonce() -> str:
    """A word that marks one answer of the server, for the log and the error page."""
    return secrets.token_hex(4)
