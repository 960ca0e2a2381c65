"""Before there is a request: who drips, floods or stays silent is cut off, and others are served meanwhile."""

import asyncio

import pytest
from tests.gateway.hand import UPGRADE, HandSocket
from tests.gateway.live import Live, Person

from parley.serve import patience


@pytest.fixture(params=["picows"])
def engine(request: pytest.FixtureRequest) -> str:
    """What comes before the upgrade is the same for both."""
    return str(request.param)


def head(target: str, **headers: str) -> bytes:
    lines = [f"{target} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


async def test_a_thousand_silent_connections_harm_nobody(
    server: Live, alice: Person, bob: Person, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are cut after their time; meanwhile a message goes through as ever."""
    monkeypatch.setattr(patience, "HEAD_SECONDS", 2.5)
    crowd = [await server.hand() for _ in range(1000)]
    hers, his = await server.connect(alice), await server.connect(bob)
    async with asyncio.timeout(2.0):
        await hers.acked("message.send", {"conversation_id": talk, "client_id": "c", "text": "hi"})
        await his.expect("log")

    assert set(await asyncio.gather(*(socket.ended() for socket in crowd))) == {b""}


async def test_a_head_that_drips_is_cut(server: Live, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not count as progress."""
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.3)
    socket = await server.hand()
    began = asyncio.get_running_loop().time()
    for byte in head("GET /api/v1/ws", **UPGRADE):
        await socket.write(bytes([byte]))
        await asyncio.sleep(0.01)
        if socket.reader.at_eof():
            break

    assert 0.25 < asyncio.get_running_loop().time() - began < 1.0


async def test_the_time_for_a_head_is_over_with_it(
    server: Live, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket, or a request that follows another later, is not cut by it."""
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.2)
    socket, idle = await server.hand_open(alice), await server.hand()
    await idle.write(head("GET /healthz"))
    assert (await idle.answer()).status == 200
    await asyncio.sleep(0.5)

    await idle.write(head("GET /healthz"))
    assert (await idle.answer()).status == 200
    await socket.send({"type": "ping"})
    assert await socket.json() == {"type": "pong"}


async def test_line_breaks_after_a_request_do_not_hold_a_connection(
    server: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.2)
    socket = await server.hand()
    await socket.write(head("GET /healthz"))
    assert (await socket.answer()).status == 200
    await socket.write(b"\r\n")

    assert await socket.ended() == b""


async def huge(socket: HandSocket, pieces: list[bytes]) -> int:
    for piece in pieces:
        await socket.write(piece)
    return (await socket.answer()).status


async def test_a_huge_head_is_too_large(server: Live, alice: Person) -> None:
    """In one piece or in many, as one header or as a thousand, for a request and for an upgrade alike."""
    whole = head("GET /healthz", Cookie="x" * 70_000)
    many = head("GET /healthz", **{f"X-{number}": "y" * 60 for number in range(1100)})
    endless = head("GET /healthz")[:-2] + b"Cookie: " + b"x" * 70_000
    upgrade = head("GET /api/v1/ws", **UPGRADE, Authorization=f"Bearer {alice.token}", Cookie="x" * 70_000)

    for sent in (whole, many, endless, upgrade):
        assert await huge(await server.hand(), [sent]) == 431
        assert await huge(await server.hand(), [sent[i : i + 5000] for i in range(0, len(sent), 5000)]) == 431
    fits = head("GET /healthz", Cookie="x" * 60_000)
    assert await huge(await server.hand(), [fits]) == 200
    assert await huge(await server.hand(), [fits[i : i + 5000] for i in range(0, len(fits), 5000)]) == 200


async def test_a_body_is_not_part_of_the_head(server: Live, alice: Person) -> None:
    """Though it comes in the same piece, and another request after it."""
    body = b'{"username":"' + b"x" * 100_000 + b'"}'
    told = head("POST /api/v1/auth/login", **{"Content-Type": "application/json", "Content-Length": str(len(body))})
    socket = await server.hand()
    await socket.write(told + body)
    first = (await socket.answer()).status
    await socket.write(head("GET /healthz"))

    assert first != 431
    assert first == 413 or (await socket.answer()).status == 200
