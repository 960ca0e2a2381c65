"""What is bad, slow or too much at the doors of the direct and the kama dialect: told to whoever did it, and nobody
else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.gateway.hand import CLOSE
from tests.gateway.live import until
from tests.legacy.client import Account, Client, Doors
from tests.legacy.conftest import OpenDoors
from tests.legacy.numbered import Careful, direct, grouped, kama, private, said
from websockets.exceptions import ConnectionClosed

from parley.gateway import connection
from parley.protocol.types import ConversationId

NO_JSON: list[Any] = [
    "x", "", "null", "[]", "7", '"text"', "{", '{"a":}', "[" * 5000, '{"a":' * 3000, "NaN", "\ufeff{}", "{}",
    '{"content":"\\ud800"}', '{"content":"a\\u0000b"}', '{"type":{}}', b"binary", b"\xff\xfe",
]  # fmt: skip


@pytest.fixture
async def ann(doors: Doors) -> Account:
    return await doors.account("ann")


@pytest.fixture
async def bob(doors: Doors, ann: Account) -> Account:
    return await doors.account("bob")


async def entries(doors: Doors) -> int:
    """How many entries are in the log, of all conversations."""
    heads = [await doors.live.parley.legacy.heard_by(who, lobby=True) for who in doors_people(doors)]
    return sum(sum(head.values()) for head in heads)


def doors_people(doors: Doors) -> list[Any]:
    hub = doors.live.parley.hub
    return [next(iter(mine)).actor for mine in hub.users.values()]


async def refuses(client: Client, frames: list[Any], refused: Callable[[Any], bool]) -> None:
    """Each is answered by the dialect's own refusal. A good frame in between: twenty bad ones in a row are a flood."""
    for frame in frames:
        await client.send(frame)
        answer = await client.one()
        assert refused(answer), (frame, answer)


def is_error(answer: Any) -> bool:
    return set(answer) == {"error"} and set(answer["error"]) == {"code", "name", "message"}


def is_words(answer: Any) -> bool:
    return isinstance(answer, str) and bool(answer) and not answer.startswith("{")


async def test_a_direct_client_is_told_what_was_wrong(doors: Doors, ann: Account, bob: Account) -> None:
    """In the dialect's shape, whatever it was; the connection lives and the receiver hears only what was right."""
    foreign = await doors.live.group(bob.person)
    hers, his = await direct(doors, ann), await direct(doors, bob)
    before = await entries(doors)
    good = private(bob)
    bad: list[Any] = [{**good, field: value} for field, value in (
        ("recvId", ""), ("recvId", "0"), ("recvId", "-1"), ("recvId", "x"), ("recvId", 7), ("recvId", "9" * 30),
        ("recvId", "999999"), ("content", ""), ("content", " \n"), ("content", None), ("content", 7),
        ("content", "x" * 8001), ("contentType", 0), ("contentType", "1"), ("contentType", True), ("contentType", 4),
        ("chatType", 99), ("chatType", "2"), ("chatType", None), ("chatType", 2.5), ("sendId", 7), ("recvId", ["1"]),
    )]  # fmt: skip
    bad += [grouped(name) for name in (foreign, "999999", "9" * 30, "0", "nowhere", "٣", "a\nb")]
    for frame in (*NO_JSON, *bad):
        await refuses(hers, [frame], is_error)
        await hers.send({"type": "ping"})
        assert await hers.one() == {"type": "pong"}

    assert await entries(doors) == before
    await hers.send(good)
    assert (await his.one())["content"] == "hi"
    await his.silence()


async def test_a_kama_client_is_told_what_was_wrong(doors: Doors, ann: Account, bob: Account) -> None:
    """In words, because the dialect has no frame for it; a frame that is no JSON is no empty message."""
    foreign = await doors.live.group(bob.person)
    hers, his = await kama(doors, ann), await kama(doors, bob)
    before = await entries(doors)
    good = said(ann, f"U{bob.id}")
    bad: list[Any] = [{**good, field: value} for field, value in (
        ("receive_id", ""), ("receive_id", "U"), ("receive_id", bob.id), ("receive_id", 7), ("receive_id", "U999999"),
        ("receive_id", "U0"), ("receive_id", "U" + "9" * 30), ("receive_id", f"G{foreign}"), ("receive_id", "Gx"),
        ("receive_id", "G999999"), ("receive_id", None), ("content", ""), ("content", 7), ("content", "x" * 8001),
        ("type", 0), ("type", "1"), ("type", True), ("type", None), ("type", 9), ("send_id", "U999999"), ("send_id", 7),
        ("send_id", "x" * 70), ("url", 7), ("url", "x" * 5000), ("file_size", 9), ("av_data", {}),
    )]  # fmt: skip
    for number, frame in enumerate((*NO_JSON, *bad)):
        await refuses(hers, [frame], is_words)
        if number % 15 == 14:
            await hers.send(said(ann, f"U{ann.id}", "to myself"))
            assert (await hers.one())["content"] == "to myself"

    notes = (len(NO_JSON) + len(bad)) // 15
    assert await entries(doors) == before + notes
    await his.silence()
    avatars: tuple[object, ...] = ("x" * 1000, "../../etc/passwd", "\u202e", "'\"<svg>", 7, None, [], {})
    for avatar in avatars:
        await hers.send(good | {"send_avatar": avatar})
        assert (await his.one())["send_id"] == (await hers.one())["send_id"] == f"U{ann.id}"


@pytest.mark.parametrize("dialect", [direct, kama])
async def test_a_frame_that_is_too_big_ends_that_socket(
    doors: Doors, ann: Account, bob: Account, dialect: Callable[[Doors, Account], Awaitable[Client]]
) -> None:
    """Closed with 1009, whatever is in it."""
    hers, his = await dialect(doors, ann), await dialect(doors, bob)

    with contextlib.suppress(ConnectionClosed):  # the server need not read it to its end
        await hers.send("x" * (10 << 20))

    assert await hers.closed() == 1009
    await his.silence()


@pytest.mark.parametrize("dialect", [direct, kama])
async def test_who_sends_nothing_but_rubbish_is_sent_away(
    doors: Doors, ann: Account, dialect: Callable[[Doors, Account], Awaitable[Client]]
) -> None:
    client = await dialect(doors, ann)
    for _ in range(20):
        await client.send("rubbish")
    assert await client.closed() == 1008


async def test_a_flood_is_answered_and_stops_nobody(opening: OpenDoors) -> None:
    """As many refusals as frames too many; meanwhile others write and hear."""
    async with opening(limits={"messages_per_second": 20, "burst": 20}) as doors:
        ann, bob, cat = [await doors.account(name) for name in ("ann", "bob", "cat")]
        hers, his, others = [await direct(doors, who) for who in (ann, bob, cat)]
        for number in range(60):
            await hers.send(private(bob, str(number)))
        await others.send(private(bob, "from cat"))
        while (frame := await his.one())["sendId"] != cat.id:
            pass
        assert frame["content"] == "from cat"
        heard: list[Any] = []
        while sum("error" in one for one in heard) < 20:
            heard.append(await hers.one())
        assert {one["error"]["name"] for one in heard} == {"rate_limited"}


@pytest.mark.parametrize("come", [Careful.direct, Careful.kama])
async def test_a_reader_that_stops_is_closed_alone(
    doors: Doors, ann: Account, bob: Account, come: Callable[[Doors, Account], Awaitable[Careful]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A full queue of one receiver holds nobody up, and what was missed is there when it comes back."""
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.2)
    talk = await doors.live.group(ann.person, bob.person)
    hers, slow = await doors.live.connect(ann.person), await come(doors, bob)
    await slow.pong((await slow.until_ping())[1])
    slow.socket.writer.transport.pause_reading()  # type: ignore[attr-defined]
    count = 0
    while not doors.live.parley.outbound.closed_slow:
        await asyncio.gather(*(doors.live.say(ann.person, talk, "x" * 8000) for _ in range(50)))
        count += 50
        assert len(await hers.heard()) > 0
    await until(lambda: not doors.live.parley.hub.connections_of(bob.person.actor.user_id))
    await slow.cut()

    again = await come(doors, bob)
    assert len((await again.until_ping())[0]) == min(count, 1000)


@pytest.mark.parametrize("come", [Careful.direct, Careful.kama])
async def test_a_drain_settles_what_was_taken(
    opening: OpenDoors, come: Callable[[Doors, Account], Awaitable[Careful]]
) -> None:
    """Sent away with the code that means come back, and what was written is there then."""
    async with opening() as doors:
        ann, bob = await doors.account("ann"), await doors.account("bob")
        talk = await doors.live.group(ann.person, bob.person)
        client = await come(doors, bob)
        await client.pong((await client.until_ping())[1])
        hers = await direct(doors, ann)
        await hers.send(grouped(talk, "last words"))
        assert (await hers.one())["content"] == "last words"
        stopping = asyncio.create_task(doors.live.parley.stop())
        opcode, payload = await client.socket.frame()
        assert json.loads(payload)["content"] == "last words"
        while opcode != CLOSE:
            opcode, payload = await client.socket.frame()
        assert int.from_bytes(payload[:2], "big") == 4003
        await client.cut()
        await stopping

    async with opening() as doors:
        assert await (await come(doors, bob)).until_ping() is not None
        found = await doors.live.parley.legacy.entries_after(ConversationId(int(talk)), 0, None)
        assert found is not None
        assert json.loads(found[0][-1].body)["message"]["text"] == "last words"
