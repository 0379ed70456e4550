"""Error handlers: every failure is answered by JSON with an `error`."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException


def add_error_answers(service: FastAPI) -> None:
    """Adds handlers for errors of routes, of the framework, and for internal errors."""

    @service.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)

    @service.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return JSONResponse({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 422)

    @service.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        # The log line has the location.
        return JSONResponse({"error": "something went wrong here; try again"}, 500)
