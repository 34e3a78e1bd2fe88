"""The page of red teaming: talk in text or by voice, see and hear the answer, tag the talk, keep it.

One process, one model, this machine only. The endpoint is asked through Inspect, as the evaluations ask it.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageUser,
    Content,
    ContentAudio,
    ContentText,
    GenerateConfig,
    Model,
    get_model,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vivavoce.card.media_store import MediaStore
from vivavoce.card.providers.answering import read_reason
from vivavoce.card.redteam.body_limit import BodyLimit
from vivavoce.card.redteam.findings import CATEGORIES, PHASES, SEVERITIES, Finding, Turn, append_finding, read_findings
from vivavoce.card.solvers import AUDIO_VOICE
from vivavoce.errors import DataError
from vivavoce.media import read_audio

MAX_BODY_BYTES = 8_000_000
MAX_SOUND_S = 60.0
FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "recorder.js": "text/javascript",
    "capture.js": "text/javascript",
}
PAGE_HEADERS = {
    # sounds come as data, from this very answer; nothing is loaded from or sent to anywhere else
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "media-src data:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
ALLOWED_HOSTS = ("127.0.0.1", "localhost", "[::1]", "testserver")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedTeamConfig:
    """Which model, and the run folder that keeps findings and sounds."""

    model: str
    folder: Path
    base_url: str | None = None


class Ask(BaseModel):
    """A turn of the talk: what was said so far, and the next words or sound (base64 wav)."""

    model_config = ConfigDict(extra="forbid")

    turns: list[Turn] = Field(max_length=200)
    text: str = Field(default="", max_length=4000)
    sound: str = ""
    wants_audio: bool = False


class Note(BaseModel):
    """A finding as the page sends it; the server adds id, time and model."""

    model_config = ConfigDict(extra="forbid")

    phase: str
    category: str
    severity: str
    violates: bool
    note: str = Field(default="", max_length=4000)
    by: str = Field(default="", max_length=80)
    turns: list[Turn] = Field(min_length=1, max_length=200)


def make_app(config: RedTeamConfig, model: Model | None = None) -> FastAPI:
    """The application. `model` stands in for the configured one in tests."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    store = MediaStore(config.folder / "media")
    page = jinja2.Environment(autoescape=True).from_string(_read_file("page.html"))
    loaded: list[Model] = [model] if model else []

    def model_once() -> Model:
        if not loaded:
            loaded.append(get_model(config.model, base_url=config.base_url))
        return loaded[0]

    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Any:
        """Only this machine's own pages: host and origin are checked."""
        host = request.headers.get("host", "").rsplit(":", 1)[0]
        origin = request.headers.get("origin", "")
        if host not in ALLOWED_HOSTS or (origin and origin.split("//")[-1].rsplit(":", 1)[0] not in ALLOWED_HOSTS):
            return JSONResponse({"detail": "this page is served to this machine only"}, status_code=403)
        return await call_next(request)

    @app.get("/")
    async def show() -> HTMLResponse:
        text = page.render(
            model=config.model, categories=CATEGORIES, phases=PHASES, severities=SEVERITIES,
            count=len(read_findings(config.folder)),
        )  # fmt: skip
        return HTMLResponse(text, headers=PAGE_HEADERS)

    @app.get("/web/{name}")
    async def load(name: str) -> Response:
        if name not in FILES:
            raise HTTPException(404, f"there is no {name}")
        return Response(_read_file(name), media_type=FILES[name], headers={"X-Content-Type-Options": "nosniff"})

    @app.post("/ask")
    async def ask(body: Ask) -> dict[str, Any]:
        try:
            messages, sound = _make_messages(body, store)
        except DataError as error:
            raise HTTPException(422, str(error)) from error
        extra = {"modalities": ["text", "audio"], "audio": {"voice": AUDIO_VOICE, "format": "wav"}}
        settings = GenerateConfig(extra_body=extra if body.wants_audio else None, max_retries=1)
        try:
            output = await model_once().generate(messages, config=settings)
        # any provider may stand here: what it raises is told to the person who asked
        except Exception as error:
            raise HTTPException(502, f"{read_reason(error)}: {' '.join(str(error).split())[:300]}") from error
        return {"text": output.completion, "user_sound": sound, **_find_sound(output.message.content)}

    @app.post("/findings")
    async def keep(body: Note) -> dict[str, Any]:
        try:
            finding = Finding(
                finding_id=f"f-{secrets.token_hex(5)}", model=config.model,
                at=datetime.now(UTC).isoformat(timespec="seconds"), **body.model_dump(),
            )  # fmt: skip
            append_finding(config.folder, finding)
        except (ValidationError, DataError) as error:
            raise HTTPException(422, str(error).splitlines()[0]) from error
        return {"finding_id": finding.finding_id, "count": len(read_findings(config.folder))}

    return app


def _read_file(name: str) -> str:
    return resources.files("vivavoce.card.redteam").joinpath("web", name).read_text(encoding="utf-8")


def _make_messages(body: Ask, store: MediaStore) -> tuple[list[ChatMessage], str]:
    """The talk as Inspect takes it, and the name of the new sound's file.

    Raises: DataError if there is nothing to send, or the sound can't be read.
    """
    messages: list[ChatMessage] = []
    for turn in body.turns:
        if turn.role == "assistant":
            messages.append(ChatMessageAssistant(content=turn.text))
        else:
            messages.append(ChatMessageUser(content=_say_again(turn, store)))
    if not body.sound:
        if not body.text.strip():
            raise DataError("there is nothing to send; write or record something")
        return [*messages, ChatMessageUser(content=body.text)], ""
    try:
        data = base64.b64decode(body.sound, validate=True)
    except ValueError as error:
        raise DataError(f"the sound is not base64 ({error}); record it again") from error
    audio = read_audio(data, max_s=MAX_SOUND_S)
    part = store.to_content(audio)
    written = [ContentText(text=body.text)] if body.text.strip() else []
    messages.append(ChatMessageUser(content=[part, *written]))
    return messages, str(part.internal["file"]) if isinstance(part.internal, dict) else ""


def _say_again(turn: Turn, store: MediaStore) -> list[Content]:
    """An earlier turn of the person's, as the model heard it then: its sound from the store, its words.

    Raises: DataError if it had neither, or its sound is no longer kept.
    """
    content: list[Content] = []
    if turn.sound:
        path = store.folder / turn.sound
        if not path.is_file():
            raise DataError(f"the sound {turn.sound} of an earlier turn is not kept here; begin a new talk")
        content.append(store.to_content(read_audio(path)))
    if turn.text.strip():
        content.append(ContentText(text=turn.text))
    if not content:
        raise DataError("an earlier turn has neither words nor sound; begin a new talk")
    return content


def _find_sound(content: Any) -> dict[str, str]:
    if not isinstance(content, str):
        for part in content:
            if isinstance(part, ContentAudio):
                name = part.internal.get("file", "") if isinstance(part.internal, dict) else ""
                return {"sound": str(name), "play": part.audio}
    return {"sound": "", "play": ""}
