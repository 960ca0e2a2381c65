"""Every "no" over HTTP is one shape: RFC 9457 `application/problem+json` with our code and name."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from parley.protocol.errors import ChatError, Code, ErrorSpec
from parley.store.interface import StoreUnavailable

MEDIA_TYPE = "application/problem+json"
DETAIL_CHARS = 300

# What the framework itself refuses, in our words.
BY_STATUS = {
    401: Code.UNAUTHENTICATED,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    405: Code.NOT_FOUND,
    413: Code.TOO_LONG,
    429: Code.RATE_LIMITED,
    503: Code.BUSY,
}


def problem(error: ChatError, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that tells `error`. `status` only where HTTP has a more fitting one than the error's own (405)."""
    spec = error.spec
    status = status or spec.http
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": spec.text,
        "status": status,
        "detail": error.message,
        "code": spec.code,
        "name": spec.name,
        "retryable": spec.retryable,
    }
    more = dict(headers or {})
    if error.retry_after_ms is not None:
        body["retry_after_ms"] = error.retry_after_ms
        more["Retry-After"] = str(math.ceil(error.retry_after_ms / 1000))
    if status == 401:
        more["WWW-Authenticate"] = "Bearer"
    more.setdefault("Cache-Control", "no-store")
    return Response(msgspec.json.encode(body), status, more, MEDIA_TYPE)


def internal() -> Response:
    """Says nothing of what went wrong: that stands in the log."""
    return problem(ChatError(Code.INTERNAL))


def describe(errors: Sequence[Mapping[str, Any]]) -> str:
    """`username: Field required; password: …`. Never the value: it may be a password."""
    said = []
    for error in errors:
        # The first part says body, query or path; a JSON error has a byte's position where the field's name would be.
        where = ".".join(str(part) for part in error["loc"][1:] if isinstance(part, str) or len(error["loc"]) > 2)
        said.append(f"{where}: {error['msg']}" if where else str(error["msg"]))
    return "; ".join(said)[:DETAIL_CHARS]


def printable(text: str) -> str:
    """Field names come from the client and may hold what JSON in UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def install(app: FastAPI) -> None:
    @app.exception_handler(ChatError)
    async def _chat_error(_request: Request, error: ChatError) -> Response:
        return problem(error)

    @app.exception_handler(StoreUnavailable)
    async def _store(_request: Request, _error: StoreUnavailable) -> Response:
        return problem(ChatError(Code.STORAGE_UNAVAILABLE, retry_after_ms=1000))

    @app.exception_handler(RequestValidationError)
    async def _validation(_request: Request, error: RequestValidationError) -> Response:
        return problem(ChatError(Code.BAD_PAYLOAD, printable(describe(error.errors()))))

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> Response:
        spec = BY_STATUS.get(error.status_code) or _spec_for(error.status_code)
        detail = "There is no such method here." if error.status_code == 405 else None
        return problem(ChatError(spec, detail), status=error.status_code, headers=error.headers)


def _spec_for(status: int) -> ErrorSpec:
    return Code.INTERNAL if status >= 500 else Code.BAD_PAYLOAD
