"""Errors in OpenAI's shape, for every way a request can fail."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from vivavoce.errors import DataError, VivaError
from vivavoce.serve.wire import WireError


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every error."""

    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorBody, "description": "The request can't be done; the message says why"},
    401: {"model": ErrorBody, "description": "The key is missing or wrong"},
    403: {"model": ErrorBody, "description": "Host or origin not allowed"},
    413: {"model": ErrorBody, "description": "The body is too large"},
    503: {"model": ErrorBody, "description": "Busy, late or shutting down"},
}


def make_error(status: int, message: str, *, param: str | None = None, code: str | None = None) -> JSONResponse:
    """An error response."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    headers = {"Retry-After": "2"} if status == 503 else None
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(body, status, headers)


def install_errors(app: FastAPI) -> None:
    """Have every expected exception answered in OpenAI's shape."""

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = max(error.errors(), key=lambda item: len(item["loc"]))
        path = ".".join(str(step) for step in first["loc"][1:])
        shown = repr(first.get("input"))
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        message = f"{path or 'body'} is {shown}: {first['msg'].lower()}"
        return make_error(400, message, param=path or None, code=str(first["type"]))

    @app.exception_handler(WireError)
    async def _refused(request: Request, error: WireError) -> JSONResponse:
        status = 503 if error.code.startswith("server_") else 400
        return make_error(status, str(error), param=error.param, code=error.code)

    @app.exception_handler(VivaError)
    async def _expected(request: Request, error: VivaError) -> JSONResponse:
        is_input = isinstance(error, DataError)
        return make_error(400 if is_input else 503, str(error), code="invalid_value" if is_input else "server_error")

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        response = make_error(error.status_code, str(error.detail), code=f"http_{error.status_code}")
        for name, value in (error.headers or {}).items():
            response.headers[name] = value
        return response
