"""The web application: routes of the page, the HTTP surfaces and the realtime socket around one worker."""

from __future__ import annotations

import time
from importlib import resources
from typing import Any, Literal

from fastapi import FastAPI, Path, WebSocket
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from vivavoce import __version__
from vivavoce.serve.api import audio, chat, images
from vivavoce.serve.api.errors import ERRORS, install_errors
from vivavoce.serve.realtime_socket import serve_realtime
from vivavoce.serve.security import Gate, Receive, Scope, Send, ServerConfig
from vivavoce.serve.worker import Worker

_STARTED = int(time.time())
# what the page may load and reach: itself, and sounds and pictures it made
_PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob: data:; worker-src 'self' blob:; "
    "connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class Model(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """All models that are served: one."""

    object: Literal["list"]
    data: list[Model]


class Health(BaseModel):
    """How the server is."""

    status: Literal["ok", "draining", "failed", "starting"]
    model: str
    talkers: int
    slots: int


def make_app(worker: Worker, config: ServerConfig) -> Gate:
    """The ASGI application, behind its gate. The worker is started and stopped by the caller."""
    app = FastAPI(title="vivavoce", version=__version__, docs_url=None, redoc_url=None)
    app.state.worker = worker
    install_errors(app)
    app.include_router(chat.router)
    app.include_router(audio.router)
    app.include_router(images.router)
    _add_models(app, worker)
    _add_health(app, worker)
    _add_page(app)

    @app.websocket("/v1/realtime")
    async def _realtime(websocket: WebSocket) -> None:
        await serve_realtime(websocket, worker)

    app.add_middleware(RequestCounter, worker=worker)
    app.openapi = lambda: _describe(app)  # type: ignore[method-assign]
    return Gate(app, config, worker.limits)


def _add_models(app: FastAPI, worker: Worker) -> None:
    def show() -> dict[str, Any]:
        return {"id": worker.engine.model_name, "object": "model", "created": _STARTED, "owned_by": "vivavoce"}

    @app.get("/v1/models", response_model=ModelList, responses={401: ERRORS[401], 403: ERRORS[403]}, tags=["models"])
    async def list_models():
        """The model that is served. Requests may name any model: there is one, and answers say which."""
        return {"object": "list", "data": [show()]}

    @app.get(
        "/v1/models/{model}",
        response_model=Model,
        responses={401: ERRORS[401], 403: ERRORS[403], 404: {**ERRORS[400], "description": "No such model"}},
        tags=["models"],
    )
    async def get_model(model: str = Path()):
        """One model."""
        if model != worker.engine.model_name:
            raise HTTPException(404, f"the model {model!r:.80} is not here; there is {worker.engine.model_name}")
        return show()


def _add_health(app: FastAPI, worker: Worker) -> None:
    @app.get("/healthz", response_model=Health, responses={503: {"model": Health}, 403: ERRORS[403]}, tags=["server"])
    async def get_health():
        """Whether the server can be talked to."""
        if worker.failure is not None:
            status = "failed"
        elif worker.is_draining:
            status = "draining"
        else:
            status = "ok" if worker.is_ready.is_set() else "starting"
        health = {
            "status": status,
            "model": worker.engine.model_name,
            "talkers": worker.num_talkers,
            "slots": worker.engine.num_slots,
        }
        return JSONResponse(health, 200 if status == "ok" else 503)

    @app.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            401: ERRORS[401],
            403: ERRORS[403],
        },
        tags=["server"],
    )
    async def get_metrics():
        """Counters and histograms for Prometheus."""
        return Response(worker.metrics.render(), media_type="text/plain; version=0.0.4")


def _add_page(app: FastAPI) -> None:
    folder = resources.files("vivavoce.serve").joinpath("web")

    @app.get("/", include_in_schema=False)
    async def get_page() -> FileResponse:
        return FileResponse(str(folder.joinpath("index.html")), headers={"Content-Security-Policy": _PAGE_POLICY})

    @app.get("/favicon.ico", include_in_schema=False)
    async def get_icon() -> FileResponse:
        return FileResponse(str(folder.joinpath("icon.svg")), media_type="image/svg+xml")

    app.mount("/static", StaticFiles(directory=str(folder)), name="static")


class RequestCounter:
    """Counts HTTP answers by route and status; the rest passes untouched."""

    def __init__(self, app: Any, worker: Worker) -> None:
        self._app = app
        self._counter = worker.metrics.http

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "other")
                self._counter.labels(route, message["status"]).inc()
            await send(message)

        await self._app(scope, receive, note)


def _describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, without FastAPI's 422: what is not valid is answered with 400 here."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        for path in schema["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(name, None)
        schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{}, {"key": []}]
        app.openapi_schema = schema
    return app.openapi_schema
