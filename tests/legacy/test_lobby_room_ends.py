"""How lobby and room sockets end: slow readers, a server that stops, crowds."""

from __future__ import annotations

import asyncio

import pytest
from tests.gateway.live import until
from tests.legacy.client import Client, Doors
from tests.legacy.conftest import OpenDoors

from parley.gateway import connection as gateway_connection
from parley.gateway.legacy import attendance


@pytest.mark.parametrize("path", ["/ws", "/ws?room=lobby"], ids=["lobby", "room"])
async def test_a_slow_reader_is_closed_alone(opening: OpenDoors, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes nothing is dropped when the queue is full; the others get everything, in order."""
    monkeypatch.setattr(gateway_connection, "CLOSE_SECONDS", 0.1)
    async with opening() as doors:
        ann = await doors.account("ann")
        fast = await doors.connect(path)
        await fast.one()
        slow = await doors.connect(path)
        await slow.one()
        await fast.heard()
        slow.socket.transport.pause_reading()
        lobby = str(await doors.live.parley.legacy.lobby())

        async def read(count: int) -> list[str]:
            return [text for told in [await fast.one() for _ in range(count)] if (text := words(told)) is not None]

        heard: list[str] = []
        said: list[str] = []
        while doors.live.parley.outbound.closed_slow == 0:
            texts = [f"{len(said) + number} {'x' * 7000}" for number in range(100)]
            reading = asyncio.ensure_future(read(100))
            for text in texts:
                await doors.live.say(ann.person, lobby, text)
            heard += await reading
            said += texts
            assert len(said) < 5000

        assert len(heard) >= len(said) - 3
        assert [text for text in said if text in set(heard)] == heard
        await until(lambda: doors.live.parley.gateway.connections == 1)


def words(told: object) -> str | None:
    """The text of a chat message; None for a notice."""
    if not isinstance(told, dict):
        return None
    chat = told.get("message")
    if isinstance(chat, dict):
        return str(chat["message"])
    payload = told.get("payload", {})
    return payload.get("content") if payload.get("type") == "text" else None


@pytest.mark.parametrize("path", ["/ws", "/ws?room=general"], ids=["lobby", "room"])
async def test_a_server_that_stops_says_so(doors: Doors, path: str) -> None:
    """What was accepted is told, then the sockets close with the code of a server that goes; nobody new comes in."""
    client = await doors.connect(path)
    await client.one()

    stopping = asyncio.ensure_future(doors.live.parley.stop())

    assert await client.closed() == 4003
    await stopping
    assert (await doors.refused(path)).status == 503


@pytest.mark.parametrize("path", ["/ws", "/ws?room=general"], ids=["lobby", "room"])
async def test_a_client_that_comes_back_goes_on(doors: Doors, path: str) -> None:
    """A cut without a goodbye is a departure; the next connect is an arrival, and hears what is said from then on."""
    watch = await doors.connect(path)
    await watch.got(1)
    for _ in range(2):
        client = await doors.connect(path)
        await client.got(1)
        await until(lambda: doors.live.parley.gateway.connections == 2)
        await client.heard()
        client.socket.transport.abort()
        await until(lambda: doors.live.parley.gateway.connections == 1)
    told = [kind(frame) for frame in await watch.heard()]

    assert told.count("came") == told.count("went") == 2


def kind(frame: dict[str, object]) -> str:
    known = {"online": "came", "offline": "went", "user_joined": "came", "user_left": "went"}
    return known.get(str(frame.get("type") or next(iter(frame))), "")


async def test_a_crowd_is_told_of_once_in_a_while(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound lists hold the newest, comings and goings are merged, and who came and went is not told of."""
    monkeypatch.setattr(attendance, "SHOWN", 3)
    monkeypatch.setattr(attendance, "MERGE_S", 0.3)
    lobby: list[Client] = []
    for _ in range(3):
        lobby.append(await doors.connect())
        await lobby[-1].send("ping")
        while await lobby[-1].one() != "pong":
            pass
    watch = lobby[0]
    await watch.heard()

    labels = []
    for _ in range(3):
        late = await doors.connect("/ws")
        labels.append([told["online"] for told in await late.got(2)])
        lobby.append(late)
    brief = await doors.connect()
    await brief.one()
    await brief.close()
    count = doors.live.parley.gateway
    await until(lambda: count.connections == 6)
    await watch.silence()

    came = await watch.got(3)
    assert all("online" in told for told in came)
    await watch.silence()
    for client in lobby[1:]:
        await client.close()
    went = [told["offline"] for told in await watch.got(5)]
    assert {told["online"]["userid"] for told in came} <= {told["userid"] for told in went}
    await watch.silence()
