"""Bad input at the lobby's and the rooms' doors: refused in the dialect's own words, to its sender alone."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.legacy.client import Client, Doors
from tests.legacy.conftest import OpenDoors
from tests.legacy.test_lobby import CHAT, come, stored

Pair = tuple[Client, Client]

LOBBY_BAD: list[Any] = [
    "",
    " \n ",
    "nul \x00 in it",
    '{"message": {"message": "nul \\u0000"}}',
    '{"message": {"message": "\\ud800"}}',
    {"message": "hello"},
    {"message": [1]},
    {"message": {}},
    {"message": {"message": ""}},
    {"message": {"message": " \n"}},
    {"message": {"message": ["x"]}},
    {"message": {"message": True}},
    {"message": {"message": "x", "userid": ["ai"]}},
    {"message": {"message": "x", "userphone": "x" * 600}},
    {"online": {"userid": {"a": 1}}},
    '{"message":' * 5000 + "1" + "}" * 5000,
    {"message": {"message": "x" * 8001}},
    "x" * 8001,
]

ROOM_BAD: list[Any] = [
    "",
    "hello",
    "{",
    "[]",
    "null",
    "1e400",
    {},
    {"type": 1},
    {"type": None, "payload": {}},
    {"type": "nonsense", "payload": {}},
    {"type": "init", "payload": {"room_id": "general"}},
    {"type": "message"},
    {"type": "message", "payload": "hi"},
    {"type": "message", "payload": {}},
    {"type": "message", "payload": {"content": ""}},
    {"type": "message", "payload": {"content": " \t\n"}},
    {"type": "message", "payload": {"content": 5}},
    {"type": "message", "payload": {"content": None}},
    {"type": "message", "payload": {"content": {"a": 1}}},
    {"type": "typing", "payload": {"is_typing": "yes"}},
    {"type": "typing", "payload": {}},
    '{"type":"message","payload":{"content":"nul \\u0000"}}',
    '{"type":"message","payload":{"content":"\\udfff"}}',
    '{"type":"message","payload":{"content":"nul \x00"}}',
    "[" * 20000,
    {"type": "message", "payload": {"content": "x" * 8001}},
]


def shown(frame: Any) -> str:
    return (frame if isinstance(frame, str) else json.dumps(frame))[:40] or "empty"


async def in_lobby(doors: Doors) -> Pair:
    ann, _ = await come(doors)
    bob, _ = await come(doors)
    await ann.heard()
    return ann, bob


async def in_room(doors: Doors) -> Pair:
    ann = await doors.connect("/ws?room=lobby")
    await ann.got(2)
    bob = await doors.connect("/ws?room=lobby")
    await bob.got(2)
    await ann.got(2)
    return ann, bob


async def test_the_lobby_refuses_as_a_person_would(doors: Doors) -> None:
    """A chat frame from the system, to the sender alone; then the connection goes on."""
    ann, bob = await in_lobby(doors)

    for bad in LOBBY_BAD:
        await ann.send(bad)
        answer = await ann.one()
        assert answer["message"]["userphone"] == "系统", shown(bad)
        assert answer["message"]["message"], shown(bad)
        await ann.send("ping")
        assert await ann.raw() == "pong", shown(bad)

    await bob.silence()
    await ann.send({"message": CHAT})
    assert (await bob.one())["message"]["message"] == CHAT["message"]
    assert await stored(doors) == [CHAT["message"]]


async def test_a_room_refuses_by_an_error_frame(doors: Doors) -> None:
    """`error` to the sender alone; then the connection goes on."""
    ann, bob = await in_room(doors)

    for number, bad in enumerate(ROOM_BAD):
        await ann.send(bad)
        answer = await ann.one()
        assert answer["type"] == "error", shown(bad)
        assert answer["payload"].keys() >= {"code", "name", "message"}, shown(bad)
        await ann.send({"type": "message", "payload": {"content": str(number)}})
        assert (await ann.one())["payload"]["content"] == str(number), shown(bad)

    heard = [told["payload"]["content"] for told in await bob.heard()]
    assert heard == [str(number) for number in range(len(ROOM_BAD))]
    assert await stored(doors) == heard


@pytest.mark.parametrize("ways", [in_lobby, in_room], ids=["lobby", "room"])
async def test_a_flood_of_nonsense_ends_it(doors: Doors, ways: Callable[[Doors], Awaitable[Pair]]) -> None:
    """Twenty bad frames in a row are enough; nobody else notices more than that it went."""
    ann, bob = await ways(doors)

    for _ in range(20):
        await ann.send("")

    assert await ann.closed() == 1008
    assert "message" not in str(await bob.one()).replace("'type': 'message'", "")


@pytest.mark.parametrize("ways", [in_lobby, in_room], ids=["lobby", "room"])
@pytest.mark.parametrize("frame", ["x" * (10 << 20), b"x" * (10 << 20)], ids=["text", "binary"])
async def test_an_oversize_frame_closes_it(
    doors: Doors, ways: Callable[[Doors], Awaitable[Pair]], frame: str | bytes
) -> None:
    """10 MiB: 1009, alone."""
    from websockets.exceptions import ConnectionClosed

    ann, bob = await ways(doors)

    try:
        await ann.send(frame)
    except ConnectionClosed:
        pass

    assert await ann.closed() == 1009
    await bob.heard()
    await bob.send("ping" if ways is in_lobby else {"type": "ping"})
    assert "pong" in str(await bob.one())


async def test_a_room_takes_no_binary(doors: Doors) -> None:
    """Binary where text is due: 1003."""
    ann, bob = await in_room(doors)

    await ann.send(b"hello")

    assert await ann.closed() == 1003
    assert [told["type"] for told in await bob.got(2)] == ["user_left", "message"]


async def test_numbers_for_strings(doors: Doors) -> None:
    """Lobby clients send numbers as ids: they are taken as they were written."""
    ann, _ = await come(doors)

    await ann.send('{"message":{"userid":17120000000000000001,"userphone":5,"message":42,"time":1.50}}')

    told = (await ann.one())["message"]
    assert (told["userid"], told["userphone"], told["message"]) == ("17120000000000000001", "5", "42")
    assert told["time"] == "1.50"


async def test_unknown_fields_are_passed_over(doors: Doors) -> None:
    """What no dialect knows is not refused, kept or passed on."""
    ann, bob = await in_room(doors)

    frame = {"type": "message", "payload": {"content": "hi", "id": 1, "user_id": 999, "color": "red"}, "x": {}}
    await ann.send(frame)

    told = (await bob.one())["payload"]
    assert told["user_id"] not in (999, None)
    assert told["color"].startswith("#")


async def test_too_fast(opening: OpenDoors) -> None:
    """Past the rate a message is refused as one to repeat, to its sender alone."""
    async with opening(limits={"messages_per_second": 0.01, "burst": 3}) as doors:
        ann = await doors.connect("/ws?room=lobby")
        await ann.got(2)
        lob = await doors.connect("/ws/lobby")
        await lob.got(2)
        await ann.got(2)
        for number in range(5):
            await ann.send({"type": "message", "payload": {"content": str(number)}})
            await lob.send(f"lobby {number}")
        texts: list[dict[str, str]] = []
        errors: list[dict[str, str]] = []
        while len(texts) + len(errors) < 8:
            told = await ann.one()
            (errors if told["type"] == "error" else texts).append(told["payload"])
        assert sorted(told["content"] for told in texts) == ["0", "1", "2", "lobby 0", "lobby 1", "lobby 2"]
        assert all(told["name"] == "rate_limited" and told["retryable"] for told in errors)
        answers = [await lob.one() for _ in range(8)]
        refusals = [told for told in answers if isinstance(told, dict) and told["message"]["userid"] == "system"]
        assert len(refusals) == 2
