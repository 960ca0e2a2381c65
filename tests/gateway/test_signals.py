"""What is not history: typing, read marks, presence."""

from typing import Any

import httpx
import pytest
from tests.gateway.live import Live, Person

from parley.gateway import hub, session, typing_notices
from parley.testing import RawSocket


async def type_in(socket: RawSocket, talk: str, is_typing: bool = True) -> list[dict[str, Any]]:
    ack, events = await socket.gather("typing.set", {"conversation_id": talk, "is_typing": is_typing})
    assert ack["type"] == "ack"
    return events


async def test_typing_is_told_to_the_others(server: Live, alice: Person, bob: Person, talk: str) -> None:
    """Not to the writer, on no device."""
    hers, his = await server.connect(alice), await server.connect(bob)
    await type_in(hers, talk)

    notice = {"conversation_id": talk, "user_id": alice.id, "is_typing": True}
    assert await his.heard() == [{"type": "typing", "payload": notice}]
    assert await hers.heard() == []
    await type_in(hers, talk, False)
    assert (await his.expect("typing"))["payload"] == notice | {"is_typing": False}


async def test_typing_is_over_by_itself(
    server: Live, alice: Person, bob: Person, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that goes away while writing does not write for ever."""
    assert typing_notices.EXPIRES_S == 6.0
    monkeypatch.setattr(typing_notices, "EXPIRES_S", 0.05)
    hers, his = await server.connect(alice), await server.connect(bob)
    await type_in(hers, talk)
    await hers.close()

    assert (await his.expect("typing"))["payload"]["is_typing"] is True
    assert (await his.expect("typing"))["payload"]["is_typing"] is False


async def test_a_message_ends_typing_without_a_word(
    server: Live, alice: Person, bob: Person, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typing_notices, "EXPIRES_S", 0.05)
    hers, his = await server.connect(alice), await server.connect(bob)
    await type_in(hers, talk)
    await hers.acked("message.send", {"conversation_id": talk, "client_id": "c", "text": "done"})
    await type_in(hers, talk)

    notices = [(await his.expect("typing", skip=("log",)))["payload"]["is_typing"] for _ in range(3)]
    assert notices == [True, True, False]


async def test_not_to_stop_what_has_not_begun(server: Live, alice: Person, bob: Person, talk: str) -> None:
    hers, his = await server.connect(alice), await server.connect(bob)
    await type_in(hers, talk, False)

    assert await his.heard() == []


async def test_typing_is_not_told_in_a_crowd(
    server: Live, alice: Person, bob: Person, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typing_notices, "CROWD", 1)
    hers, his = await server.connect(alice), await server.connect(bob)
    await type_in(hers, talk)

    assert await his.heard() == []


async def test_a_crowd_is_a_crowd_though_most_are_away(
    server: Live, alice: Person, bob: Person, mallory: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The protocol speaks of members."""
    monkeypatch.setattr(typing_notices, "CROWD", 2)
    talk = await server.group(alice, bob, mallory)
    hers, his = await server.connect(alice), await server.connect(bob)
    await type_in(hers, talk)

    assert await his.heard() == []


async def test_reading_is_told_to_all_in_a_small_conversation(
    server: Live, alice: Person, bob: Person, talk: str
) -> None:
    """Once: a mark that moves nothing says nothing."""
    await server.say(alice, talk)
    hers, his = await server.connect(alice), await server.connect(bob)
    for seq in (3, 3, 1):
        await his.acked("read.mark", {"conversation_id": talk, "seq": seq})

    told = {"conversation_id": talk, "user_id": bob.id, "read_seq": 3, "delivered_seq": 3}
    assert await hers.heard() == [{"type": "read", "payload": told}]


async def test_reading_over_http_is_told_as_well(server: Live, alice: Person, bob: Person, talk: str) -> None:
    """The other devices and the writer do not ask by which door."""
    await server.say(alice, talk)
    hers = await server.connect(alice)
    async with httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {bob.token}"}) as http:
        answer = await http.put(f"/api/v1/conversations/{talk}/read", json={"seq": 3})

    assert answer.json()["read_seq"] == 3
    assert (await hers.expect("read"))["payload"]["user_id"] == bob.id


async def test_delivery_goes_ahead_of_reading(server: Live, alice: Person, bob: Person, talk: str) -> None:
    """And neither passes the head."""
    await server.say_many(alice, talk, 3)
    hers, his = await server.connect(alice), await server.connect(bob)
    await his.acked("read.mark", {"conversation_id": talk, "seq": 3, "delivered_seq": 99})

    told = (await hers.expect("read"))["payload"]
    assert (told["read_seq"], told["delivered_seq"]) == (3, 5)


async def test_reading_in_a_crowd_is_told_to_ones_own_devices(
    server: Live, alice: Person, bob: Person, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.CROWD == 200
    monkeypatch.setattr(session, "CROWD", 1)
    await server.say(alice, talk)
    hers, his = await server.connect(alice), await server.connect(bob)
    other = await server.connect(await server.another_session(bob))
    await his.acked("read.mark", {"conversation_id": talk, "seq": 3})

    assert (await other.expect("read"))["payload"]["read_seq"] == 3
    assert await hers.heard() == []


async def test_ones_own_message_is_read(server: Live, alice: Person, talk: str) -> None:
    socket = await server.connect(alice)
    await socket.acked("message.send", {"conversation_id": talk, "client_id": "c", "text": "hi"})
    _, welcome = await server.login(alice)

    row = next(row for row in welcome["conversations"] if row["id"] == talk)
    assert (row["read_seq"], row["unread"]) == (3, 0)


async def watch(socket: RawSocket, *users: str) -> dict[str, Any]:
    await socket.acked("presence.watch", {"user_ids": list(users)})
    seen = (await socket.expect("presence"))["payload"]["users"]
    return {row["user_id"]: row["online"] for row in seen}


async def test_presence_is_told_of_those_who_are_watched(server: Live, alice: Person, bob: Person) -> None:
    """Coming with the first device, going with the last, and strangers are never online."""
    hers = await server.connect(alice)
    assert await watch(hers, bob.id, bob.id, "999999") == {bob.id: False, "999999": False}

    first, second = await server.connect(bob), await server.connect(bob)
    assert (await hers.expect("presence"))["payload"] == {"users": [{"user_id": bob.id, "online": True}]}
    await first.close()
    assert await hers.heard() == []
    await second.close()
    gone = (await hers.expect("presence"))["payload"]["users"][0]
    assert (gone["online"], "last_seen" in gone) == (False, True)


async def test_a_watch_replaces_the_one_before(server: Live, alice: Person, bob: Person, mallory: Person) -> None:
    hers = await server.connect(alice)
    await watch(hers, bob.id)
    await watch(hers, mallory.id)
    await server.connect(bob)
    assert await hers.heard() == []
    await watch(hers)
    await server.connect(mallory)

    assert await hers.heard() == []
