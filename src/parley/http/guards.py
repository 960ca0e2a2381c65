"""What every request passes before a route sees it, and every answer after. Pure ASGI: a stream stays a stream.

Outermost   one log line and one count a request; what nobody caught becomes `internal`
Headers     content security policy and its like
Bounds      path, query and body: size, time, UTF-8, no U+0000, no lone surrogates
"""

import asyncio
import json
import time
from typing import Any
from urllib.parse import unquote_to_bytes

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parley.http.errors import internal, problem
from parley.observability import Metrics
from parley.protocol.errors import ChatError, Code

BODY_BYTES = 256 * 1024
BODY_SECONDS = 30.0
URL_BYTES = 8192
STREAMED = ("/api/v1/files/uploads", "/api/upload/chunk")
"""Bodies of these are the routes' own business: they are streamed, with bounds of their own."""

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:; "
    "frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)

log = structlog.stdlib.get_logger("parley.http")


class Outermost:
    """Counts and logs each request; turns what nobody caught into an answer that leaks nothing."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        began = time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            log.exception("request_failed", method=scope["method"], path=scope["path"][:200])
            if status:
                raise  # half an answer is out: only cutting the connection tells the client
            await internal()(scope, receive, watch)
        finally:
            # The route's pattern, not the path: the number of paths has no bound.
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, status).inc()
            if status >= 400:
                log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"][:200],
                    status=status,
                    ms=round((time.perf_counter() - began) * 1000, 1),
                )


class Headers:
    """Adds the security headers to every answer that has not set its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(row for row in HEADERS if row[0] not in there)]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class Bounds:
    """Reads the body of what is not streamed, within its size and time, and refuses text that no store can hold."""

    def __init__(self, app: ASGIApp, body_bytes: int = BODY_BYTES, body_seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            check_url(scope)
            if not scope["path"].startswith(STREAMED):
                receive = await self._read(scope, receive)
        except ChatError as error:
            await problem(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive) -> Receive:
        """The body, read and checked, to be received again."""
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value[:20]) > self._body_bytes:
                raise ChatError(Code.TOO_LONG, "The body is too long.")
        parts: list[bytes] = []
        size = 0
        last: Message | None = None
        try:
            async with asyncio.timeout(self._body_seconds):
                while last is None:
                    message = await receive()
                    if message["type"] != "http.request":
                        last = message  # the client is gone
                        break
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self._body_bytes:
                        raise ChatError(Code.TOO_LONG, "The body is too long.")
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise ChatError(Code.BAD_PAYLOAD, "The body took too long to arrive.") from None
        body = b"".join(parts)
        check_body(body)
        again: list[Message] = [last] if last else [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return again.pop() if again else await receive()

        return replay


def check_url(scope: Scope) -> None:
    """Percent-encoded bytes that are no UTF-8, and U+0000. Lone surrogates are no UTF-8 either."""
    path = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass")
    query = scope.get("query_string", b"")
    if len(path) + len(query) > URL_BYTES:
        raise ChatError(Code.TOO_LONG, "The address is too long.")
    for part in (path, query):
        if b"%" in part or not part.isascii():
            _check_text(unquote_to_bytes(part))


def check_body(body: bytes) -> None:
    """Not UTF-8, U+0000 or a lone surrogate, written as it is or as a JSON escape."""
    if body:
        _check_text(body)
        if b"\\u" in body and (b"\\u0000" in body or b"\\ud" in body.lower()):
            _check_escapes(body)


def _check_text(raw: bytes) -> None:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ChatError(Code.BAD_PAYLOAD, "Not UTF-8.") from None
    if b"\0" in raw:
        raise ChatError(Code.BAD_PAYLOAD, "U+0000 is not allowed.")


def _check_escapes(body: bytes) -> None:
    """The slow look, for bodies that may have one: only a parser tells `\\u0000` from `\\\\u0000`."""
    try:
        # Written out again, keys and values alike, without escapes but for controls.
        text = json.dumps(json.loads(body), ensure_ascii=False)
    except (ValueError, RecursionError):
        return  # not JSON: the route says so
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ChatError(Code.BAD_PAYLOAD, "Lone surrogates are not allowed.") from None
    if holds_nul(json.loads(text)):
        raise ChatError(Code.BAD_PAYLOAD, "U+0000 is not allowed.")


def holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in name or holds_nul(item) for name, item in value.items())
    return isinstance(value, list) and any(map(holds_nul, value))
