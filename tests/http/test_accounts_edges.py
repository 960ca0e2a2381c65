"""The edge of HTTP: bounds, text that cannot be, errors of one shape, headers, health, the page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from starlette.types import Message
from tests.http.accounts_server import SmallServer, bearer, name_of, small_server

from parley.http import page
from parley.http.app import create_app
from parley.http.guards import BODY_BYTES, Bounds
from parley.store.interface import StoreUnavailable

LOGIN = "/api/v1/auth/login"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SmallServer]:
    async with small_server(tmp_path) as it:
        yield it


BAD_BODIES: dict[str, bytes] = {
    "empty": b"",
    "not_json": b"{",
    "a_list": b"[]",
    "a_number": b"5",
    "null": b"null",
    "unknown_field": b'{"username": "alice", "password": "12345678", "admin": true}',
    "missing_field": b'{"username": "alice"}',
    "wrong_type": b'{"username": 5, "password": "12345678"}',
    "guessed_bool": b'{"username": "alice", "password": "12345678", "cookie": "yes"}',
    "nul": b'{"username": "al\\u0000ice", "password": "12345678"}',
    "nul_in_a_name": b'{"username": "alice", "password": "12345678", "a\\u0000": 1}',
    "nul_deep": b'{"username": "alice", "password": "12345678", "x": [{"y": "\\u0000"}]}',
    "raw_nul": b'{"username": "al\x00ice", "password": "12345678"}',
    "surrogate": b'{"username": "al\\ud800ice", "password": "12345678"}',
    "surrogate_upper": b'{"username": "al\\uDFFFice", "password": "12345678"}',
    "surrogates_swapped": b'{"username": "\\udc00\\ud800", "password": "12345678"}',
    "surrogate_in_a_name": b'{"username": "alice", "password": "12345678", "\\ud800": 1}',
    "not_utf8": b'{"username": "\xff\xfe", "password": "12345678"}',
    "encoded_surrogate": b'{"username": "\xed\xa0\x80", "password": "12345678"}',
    "deep": b"[" * 100_000,
    "long_number": b'{"username": ' + b"9" * 10_000 + b', "password": "12345678"}',
    "long_name": b'{"username": "' + b"x" * 10_000 + b'", "password": "12345678"}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_bad_bodies_are_bad_payload(server: SmallServer, body: bytes) -> None:
    async with server.client() as client:
        answer = await client.post(LOGIN, content=body, headers={"Content-Type": "application/json"})
        assert name_of(answer) == (400, "bad_payload")
        assert "12345678" not in answer.text


async def test_escapes_that_only_look_bad_are_let_through(server: SmallServer) -> None:
    """A backslash and `u0000` are text, and so is an emoji written as two escapes."""
    await server.account("alice")
    async with server.client(**bearer(await server.account("bob"))) as client:
        body = rb'{"display_name": "\\u0000 \ud83c\udf88"}'
        answer = await client.patch("/api/v1/users/me", content=body, headers={"Content-Type": "application/json"})
        assert answer.json()["display_name"] == "\\u0000 🎈"


@pytest.mark.parametrize("path", ["/users?q=%00", "/users?q=%ED%A0%80", "/users?q=%FF", "/users/%00", "/%FF"])
async def test_text_that_cannot_be_is_refused_in_addresses(server: SmallServer, path: str) -> None:
    async with server.client() as client:
        assert name_of(await client.get(f"/api/v1{path}")) == (400, "bad_payload")


async def test_validation_names_the_field_and_not_the_value(server: SmallServer) -> None:
    async with server.client() as client:
        answer = await client.post(LOGIN, json={"username": ["hidden-value"], "password": "12345678"})
        assert answer.json()["detail"].startswith("username: ")
        assert "hidden-value" not in answer.text


async def test_bodies_have_a_bound(server: SmallServer) -> None:
    """By what the header says, and by what comes."""

    async def drops() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES // 1024 + 1):
            yield b" " * 1024

    async with server.client() as client:
        answers = [
            await client.post(LOGIN, content=b" " * (BODY_BYTES + 1)),
            await client.post(LOGIN, content=drops()),
            await client.get(f"/api/v1/users?q={'x' * 9000}"),
        ]
    assert [name_of(answer) for answer in answers] == [(413, "too_long")] * 3


async def test_a_body_that_drips_is_given_up() -> None:
    """It holds no route and no memory for longer than the bound."""
    import asyncio

    sent: list[Message] = []

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "headers": []}
    await Bounds(never, body_seconds=0)(scope, never, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 400


@pytest.mark.parametrize(
    ("method", "path", "refusal"),
    [
        ("GET", "/api/v1/nothing", (404, "not_found")),
        ("POST", "/api/v1/nothing", (404, "not_found")),
        ("POST", "/nothing", (404, "not_found")),
        ("GET", "/api/v1/auth/login", (405, "not_found")),
        ("GET", "/api/v1/users/me/", (404, "not_found")),
        ("GET", "/assets/../../pyproject.toml", (404, "not_found")),
        ("GET", "/..%2f..%2fpyproject.toml", (404, "not_found")),
    ],
)
async def test_what_is_not_there(server: SmallServer, method: str, path: str, refusal: tuple[int, str]) -> None:
    async with server.client() as client:
        assert name_of(await client.request(method, path)) == refusal


async def test_a_store_that_is_away_is_retryable(server: SmallServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_question: Any) -> None:
        raise StoreUnavailable("secret path /var/db")

    monkeypatch.setattr(server.database, "read", away)
    async with server.client() as client:
        answer = await client.post(LOGIN, json={"username": "alice", "password": "12345678"})
        assert name_of(answer) == (503, "storage_unavailable")
        assert answer.json()["retryable"]
        assert "secret" not in answer.text
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["the store does not answer"])
        assert (await client.get("/healthz")).status_code == 200


async def test_what_nobody_caught_leaks_nothing(server: SmallServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says internal; the log has the traceback, once."""

    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(server.accounts, "login", broken)
    with structlog.testing.capture_logs() as lines:
        async with server.client() as client:
            answer = await client.post(LOGIN, json={"username": "alice", "password": "12345678"})
    assert name_of(answer) == (500, "internal")
    assert "canary" not in answer.text
    assert [line["event"] for line in lines] == ["request_failed", "request"]
    assert "12345678" not in str(lines)


async def test_every_answer_has_the_security_headers(server: SmallServer) -> None:
    async with server.client() as client:
        for path in ("/healthz", "/", "/docs", "/api/v1/nothing", "/api/v1/auth/config"):
            headers = (await client.get(path)).headers
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "script-src" not in headers["content-security-policy"]
            assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


async def test_readiness_says_why_not(server: SmallServer) -> None:
    async with server.client() as client:
        assert (await client.get("/readyz")).status_code == 200
        server.draining = True
        server.reasons = ["the log takes nothing more just now"]
        body = await client.get("/readyz")
        assert (body.status_code, set(body.json()["reasons"])) == (503, {"draining", *server.reasons})


async def test_metrics_are_for_this_machine_and_administrators(server: SmallServer) -> None:
    admin, member = await server.account("admin"), await server.account("bob")
    async with server.client() as client:
        text = (await client.get("/metrics")).text
        assert 'parley_http_requests_total{route="/auth/register",status="201"} 2.0' in text
    async with server.client("chat.example.org", "203.0.113.9") as client:
        assert name_of(await client.get("/metrics")) == (401, "unauthenticated")
        assert name_of(await client.get("/metrics", headers=bearer(member))) == (403, "forbidden")
        assert (await client.get("/metrics", headers=bearer(admin))).status_code == 200


async def test_cors_is_for_the_allowed_origins(tmp_path: Path) -> None:
    async with (
        small_server(tmp_path, auth={"allowed_origins": ["https://a.example"]}) as server,
        server.client() as client,
    ):
        ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        ours = await client.options(LOGIN, headers={"Origin": "https://a.example", **ask})
        assert ours.headers["access-control-allow-origin"] == "https://a.example"
        other = await client.options(LOGIN, headers={"Origin": "https://evil.test", **ask})
        assert "access-control-allow-origin" not in other.headers


async def test_the_description_and_its_page_need_no_outside_address(server: SmallServer) -> None:
    async with server.client() as client:
        described = (await client.get("/api/v1/openapi.json")).json()
        assert "/api/v1/auth/login" in described["paths"]
        docs = (await client.get("/docs")).text
        assert "http" not in docs.replace("http-equiv", "")


@pytest.fixture
def build(tmp_path: Path) -> Path:
    build = tmp_path / "web"
    (build / "assets").mkdir(parents=True)
    (build / "index.html").write_text("<title>the page</title>")
    (build / "assets" / "app-1a2b.js").write_text("1")
    (build / "theme.js").write_text("2")
    return build


async def test_the_page_answers_where_no_route_does(
    server: SmallServer, build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashed files for ever, the page itself asked for each time; an API address never gets the page."""
    monkeypatch.setattr(page, "find_build", lambda: build)
    browser = {"Accept": "text/html,*/*"}
    async with server.client() as client:
        for path in ("/", "/c/12"):
            answer = await client.get(path, headers=browser)
            assert (answer.text, answer.headers["cache-control"]) == ("<title>the page</title>", "no-cache")
        assert "immutable" in (await client.get("/assets/app-1a2b.js")).headers["cache-control"]
        assert (await client.get("/theme.js")).headers["cache-control"] == "no-cache"
        assert name_of(await client.get("/c/12"))[0] == 404
        assert name_of(await client.get("/api/v1/x", headers=browser))[0] == 404
        assert name_of(await client.get("/assets/gone.js"))[0] == 404


async def test_without_a_build_the_page_says_how_to_get_one(
    server: SmallServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "find_build", lambda: None)
    async with server.client() as client:
        answer = await client.get("/")
        assert (answer.status_code, "make run" in answer.text) == (503, True)


async def test_swagger_is_served_from_the_build(
    server: SmallServer, build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And without it a plain page leads to the description."""
    monkeypatch.setattr(page, "find_build", lambda: build)
    async with server.client() as client:
        assert 'href="api/v1/openapi.json"' in (await client.get("/docs")).text
    (build / "swagger").mkdir()
    (build / "swagger" / "swagger-ui-bundle.js").write_text("3")
    async with server.client() as client:
        assert "swagger-ui-bundle.js" in (await client.get("/docs")).text
        assert (await client.get("/swagger/swagger-ui-bundle.js")).text == "3"
        assert "SwaggerUIBundle" in (await client.get("/docs/start.js")).text


async def test_requests_are_logged_without_their_query(server: SmallServer) -> None:
    with structlog.testing.capture_logs() as lines:
        transport = httpx.ASGITransport(create_app(server))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            await client.get("/api/v1/users/me?ticket=canary")
    assert [line["event"] for line in lines] == ["request"]
    assert "canary" not in json.dumps(lines)
