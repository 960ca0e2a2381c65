"""Rooms as the Hub-pattern clients know them: joins and leaves, messages, typing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.gateway.live import until
from tests.legacy.client import Account, Client, Doors, read
from tests.legacy.conftest import OpenDoors

from parley.clock import rfc3339
from parley.dialects.room import person
from parley.protocol.commands import ChangeConversation
from parley.protocol.types import ConversationId, ConversationKind, JoinPolicy, UserId


def by(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.legacy}"}


def card(account: Account) -> dict[str, Any]:
    return person(UserId(int(account.id)), account.name)


async def come(doors: Doors, account: Account, room: str = "general") -> Client:
    """A client in the room that has read its greeting."""
    client = await doors.connect(f"/ws?room={room}&token={account.legacy}")
    await client.got(2)
    return client


async def test_the_order_of_coming_and_going(doors: Doors) -> None:
    """To the newcomer `init`, to the others `user_joined`, to all the notice; on leaving `user_left` and the notice."""
    ann, bob = await doors.account("ann"), await doors.account("bob")
    first = await doors.connect("/ws?room=general", by(ann))
    init, notice = await first.got(2)
    assert init == {"type": "init", "payload": {"room_id": "general", "user": card(ann), "users": [card(ann)]}}
    assert notice["payload"].pop("created_at").endswith("Z")
    assert notice == {"type": "message", "payload": {"type": "system", "content": "ann 加入了聊天室"}}

    second = await doors.connect(f"/ws/room/general?token={bob.access}")

    both = [card(ann), card(bob)]
    init, hers = await second.got(2)
    assert init == {"type": "init", "payload": {"room_id": "general", "user": card(bob), "users": both}}
    joined, his = await first.got(2)
    assert joined == {"type": "user_joined", "payload": {**card(bob), "users": both}}
    assert his == hers
    assert hers["payload"]["content"] == "bob 加入了聊天室"
    await second.close()
    left, notice = await first.got(2)
    assert left == {"type": "user_left", "payload": {**card(bob), "users": [card(ann)]}}
    assert notice["payload"]["content"] == "bob 离开了聊天室"
    await first.silence()


async def test_a_message_reaches_all_as_it_is_stored(doors: Doors) -> None:
    """The frame is the same for all, the sender among them; ids are numbers that a JavaScript client can hold."""
    ann, bob = await doors.account("ann"), await doors.account("bob")
    one, two = await come(doors, ann), await come(doors, bob)
    await one.heard()

    await one.send({"type": "message", "payload": {"content": "hi 😀"}})

    frame = await one.raw()
    assert frame == await two.raw()
    room = await doors.live.parley.legacy.room("general", may_make=False)
    page = await doors.live.parley.legacy.entries_after(room.id, 0, None)
    assert page is not None
    entry = page[0][-1]
    shown = read(frame)
    assert shown == {
        "type": "message",
        "payload": {
            "id": entry.seq, "room_id": "general", **card(ann), "type": "text", "content": "hi 😀",
            "created_at": rfc3339(entry.at),
        },
    }  # fmt: skip
    assert list(shown["payload"]) == [
        "id", "room_id", "user_id", "username", "color", "type", "content", "created_at"
    ]  # fmt: skip
    await one.silence()


async def test_typing_goes_to_the_others_only(doors: Doors) -> None:
    """Neither this nor another socket of the same user hears it."""
    ann, bob = await doors.account("ann"), await doors.account("bob")
    one, again, two = await come(doors, ann), await doors.connect("/ws?room=general", by(ann)), await come(doors, bob)
    await again.one()
    await again.heard()
    await one.heard()

    for typing in (True, False):
        await one.send({"type": "typing", "payload": {"is_typing": typing}})
        told = {"user_id": int(ann.id), "username": "ann", "is_typing": typing}
        assert await two.one() == {"type": "typing", "payload": told}

    await one.silence()
    await again.silence()


async def test_a_second_socket_causes_no_notice(doors: Doors) -> None:
    """A user is there once: the second socket is greeted, and nobody is told; nor when the first goes."""
    ann, bob = await doors.account("ann"), await doors.account("bob")
    one, watch = await come(doors, ann), await come(doors, bob)

    again = await doors.connect("/ws?room=general", by(ann))
    init = await again.one()
    assert init["payload"]["users"] == [card(ann), card(bob)]
    await again.silence()
    await one.close()
    await until(lambda: len(doors.live.parley.hub.connections_of(ann.person.actor.user_id)) == 1)
    await watch.silence()
    await again.close()

    assert [told["type"] for told in await watch.got(2)] == ["user_left", "message"]


async def test_a_guest_by_name(doors: Doors) -> None:
    """A guest has a wished name and a negative number until the first message; then a number that stays."""
    ann = await doors.account("ann")
    watch = await come(doors, ann)
    zoe = await doors.connect("/ws?room=general&username=Zoe")
    user = (await zoe.got(2))[0]["payload"]["user"]
    assert user["username"] == "Zoe"
    assert user["user_id"] < 0
    await watch.got(2)

    for _ in range(2):
        await zoe.send({"type": "message", "payload": {"content": "hi"}})
    first, second = await watch.got(2)

    assert first["payload"]["username"] == "Zoe"
    assert second["payload"]["user_id"] == first["payload"]["user_id"] > 0
    await zoe.close()
    left = await watch.one()
    assert left["payload"]["user_id"] == first["payload"]["user_id"]
    assert left["payload"]["users"] == [card(ann)]


async def test_a_guest_acts_in_that_room_only(doors: Doors) -> None:
    """Other rooms are not heard, and the row makes nobody a member."""
    zoe = await doors.connect("/ws?room=general&username=Zoe")
    other = await doors.connect("/ws?room=other&username=Eve")
    await zoe.got(2)
    await other.got(2)

    await zoe.send({"type": "message", "payload": {"content": "hi"}})

    await zoe.one()
    await other.silence()
    room = await doors.live.parley.legacy.room("general", may_make=False)
    assert await doors.live.parley.conversations.member_ids(room.id) == []


async def test_a_token_joins_once(doors: Doors) -> None:
    """The first connect to an open room adds the membership, also where two come at the same moment."""
    ann = await doors.account("ann")
    native = await doors.live.connect(ann.person)

    await asyncio.gather(*(doors.connect("/ws?room=general", by(ann)) for _ in range(3)))
    await doors.connect("/ws?room=general", by(ann))

    added = await native.expect("conversation.added")
    assert added["payload"]["conversation"]["name"] == "general"
    room = await doors.live.parley.legacy.room("general", may_make=False)
    assert await doors.live.parley.conversations.member_ids(room.id) == [int(ann.id)]
    page = await doors.live.parley.legacy.entries_after(room.id, 0, None)
    assert page is not None
    assert [entry.kind.name for entry in page[0]] == ["MEMBER_JOINED"]


async def test_an_invite_room_is_for_its_members(doors: Doors) -> None:
    """Others are refused before the upgrade: 403, guests too."""
    ann, bob = await doors.account("ann"), await doors.account("bob")
    await doors.live.parley.conversations.create(
        ann.person.actor, "c1", ConversationKind.ROOM, name="secret", join_policy=JoinPolicy.INVITE
    )

    for headers in (by(bob), {}):
        refusal = await doors.refused("/ws?room=secret", headers)
        assert (refusal.status, refusal.code) == (403, "invite_only")

    assert (await come(doors, ann, "secret")) is not None


async def test_who_may_make_a_room(opening: OpenDoors) -> None:
    """A token, or a request from this machine; there is a bound on how many."""
    far = {"X-Forwarded-For": "203.0.113.7"}
    async with opening(auth={"guests": "everywhere"}, limits={"rooms": 2}) as doors:
        ann = await doors.account("ann")
        refusal = await doors.refused("/ws?room=one", far)
        assert (refusal.status, refusal.code) == (404, "not_found")
        await doors.connect("/ws?room=one", far | by(ann))
        await doors.connect("/ws?room=one", far)
        await doors.connect("/ws?room=two")

        for headers in ({}, by(ann)):
            assert (await doors.refused("/ws?room=three", headers)).code == "limit_reached"
        await doors.connect("/ws?room=two", far)


async def test_the_lobby_is_one_however_it_is_written(doors: Doors) -> None:
    """No room passes for the lobby by its capitals."""
    lobby = await doors.connect("/ws")
    room = await doors.connect("/ws?room=LOBBY")
    await room.got(2)
    assert len(await lobby.got(2)) == 2

    await room.send({"type": "message", "payload": {"content": "hi"}})

    assert (await lobby.one())["message"]["message"] == "hi"


async def test_who_is_removed_is_sent_away(doors: Doors) -> None:
    """A socket that may hear nothing more is closed; the others are told."""
    ann, bob = await doors.account("ann"), await doors.account("bob")
    room = await doors.live.room(ann.person, "general")
    watch, gone = await come(doors, ann), await come(doors, bob)
    await watch.heard()

    await doors.live.remove(ann.person, room, bob.person)

    assert await gone.closed() == 1008
    assert [told["type"] for told in await watch.got(2)] == ["user_left", "message"]


@pytest.mark.parametrize("path", ["/ws?room=general&username=Zoe", "/ws?room=general&username=kim"])
async def test_edits_and_titles_are_not_shown(doors: Doors, path: str) -> None:
    """These clients know new messages only."""
    ann = await doors.account("ann")
    room = await doors.live.room(ann.person, "general")
    zoe = await doors.connect(path)
    await zoe.got(2)

    change = ChangeConversation(ConversationId(int(room)), "c1", title="Everything")
    await doors.live.parley.dispatch.run(ann.person.actor, change)
    await doors.live.say(ann.person, room, "now")

    assert (await zoe.one())["payload"]["content"] == "now"
