"""Defines how the API says that it cannot answer: one sentence, what to do about it, names that are near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse


class ApiError(Exception):
    """An answer that is none.

    Args:
        status: of HTTP: 400 what was asked, 404 there is none, 413 too much, 429 too often, 503 not now, 504 too slow.
        error: what is wrong, one sentence.
        todo: what to do about it, one sentence.
        near: names that the caller may have meant, the nearest first.
    """

    def __init__(self, status: int, error: str, todo: str = "", near: Sequence[str] = ()) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.todo = todo
        self.near = tuple(near)


def error_answer(error: ApiError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the answer: `{"error": ..., "todo": ..., "near": [...]}`."""
    content = {"error": error.error, "todo": error.todo, "near": list(error.near)}
    return JSONResponse(content, error.status, headers)


def register(app: FastAPI) -> None:
    """Let an app answer its errors so, those of FastAPI too."""

    @app.exception_handler(ApiError)
    async def own(_: Request, error: ApiError) -> JSONResponse:
        return error_answer(error)

    @app.exception_handler(RequestValidationError)
    async def parameters(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return error_answer(ApiError(400, f"{name}: {first['msg']}", "/api/v1/openapi.json says what is allowed"))

    @app.exception_handler(HTTPException)
    async def others(_: Request, error: HTTPException) -> JSONResponse:
        return error_answer(ApiError(error.status_code, error.detail, "/api/v1/openapi.json lists what there is"))
