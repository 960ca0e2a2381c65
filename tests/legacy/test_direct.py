"""The direct dialect: who is let in, and what its clients hear of each other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.legacy.client import Account, Doors
from tests.legacy.conftest import OpenDoors
from tests.legacy.numbered import bearer, direct, grouped, kama, private

from parley.protocol.commands import CloseConversation
from parley.protocol.types import ConversationId
from parley.testing import RawSocket


@pytest.fixture
async def ann(doors: Doors) -> Account:
    return await doors.account("ann")


@pytest.fixture
async def bob(doors: Doors, ann: Account) -> Account:
    return await doors.account("bob")


@pytest.fixture
async def cat(doors: Doors, bob: Account) -> Account:
    return await doors.account("cat")


async def say_to(socket: RawSocket, who: Account, text: str, client_id: str = "n1") -> None:
    await socket.acked("message.send", {"to_user_id": who.id, "client_id": client_id, "text": text})


# Coming in


async def test_tokens_by_query_and_by_header(doors: Doors, ann: Account) -> None:
    """Legacy tokens and access tokens, in the query and in the header named `websocket`."""
    for token in (ann.legacy, ann.access):
        for path, headers in ((f"/ws?token={token}", {}), ("/ws", {"websocket": token})):
            client = await doors.connect(path, headers)
            await client.send({"type": "ping"})
            assert await client.raw() == '{"type":"pong"}'


async def test_without_a_valid_token_nobody_comes_in(doors: Doors, ann: Account) -> None:
    """HTTP 401 before the upgrade."""
    for path in ("/ws?token=", "/ws?token=x", f"/ws?token={ann.legacy}x", "/ws/direct"):
        assert (await doors.refused(path)).status == 401, path
    assert (await doors.refused("/ws", {"websocket": "x"})).status == 401


async def test_a_legacy_token_opens_legacy_doors_only(doors: Doors, ann: Account) -> None:
    """Neither the native door nor the native routes."""
    assert (await doors.refused("/api/v1/ws", bearer(ann.legacy))).status == 401
    assert (await doors.get("/api/v1/conversations", bearer(ann.legacy))).status_code == 401
    assert (await doors.get("/api/v1/conversations", bearer(ann.access))).status_code == 200


async def test_a_newer_connection_replaces_the_old_one(doors: Doors, ann: Account) -> None:
    """Closed with 4501, while the user's native and kama sockets stay."""
    native, phone = await doors.live.connect(ann.person), await kama(doors, ann)
    old = await direct(doors, ann)

    new = await direct(doors, ann)

    assert await old.closed() == 4501
    await new.silence()
    await phone.silence()
    assert await native.heard() == []


async def test_two_that_throw_each_other_out_are_slowed_down(doors: Doors, ann: Account, bob: Account) -> None:
    """Five replacements a minute; the sixth newcomer gets 429, and the one who is there stays."""
    for _ in range(5):
        await direct(doors, ann)
    last = await direct(doors, ann)

    assert (await doors.refused(f"/ws?token={ann.legacy}")).status == 429
    await last.silence()
    await direct(doors, bob)


async def test_who_left_is_not_replaced(doors: Doors, ann: Account) -> None:
    """Coming back after a goodbye is no replacement, however often."""
    for _ in range(8):
        await (await direct(doors, ann)).close()


async def test_a_foreign_page_is_not_let_in(doors: Doors, ann: Account) -> None:
    """The Origin is looked at."""
    refusal = await doors.refused(f"/ws?token={ann.legacy}", {"Origin": "https://evil.example"})
    assert refusal.status == 403


# Private


async def test_a_private_message_goes_to_its_receiver_only(doors: Doors, ann: Account, bob: Account) -> None:
    """Byte for byte; not echoed, also not the very first one of two strangers."""
    hers, his = await direct(doors, ann), await direct(doors, bob)

    await hers.send(private(bob, "你好", sendId="999"))

    raw = await his.raw()
    id_ = json.loads(raw)["conversationId"]
    assert id_.isdecimal()
    assert raw == (
        f'{{"conversationId":"{id_}","recvId":"{bob.id}","sendId":"{ann.id}","chatType":2,"content":"你好",'
        '"contentType":1}'
    )
    await hers.send(private(bob, "again"))
    assert (await his.one())["content"] == "again"
    await hers.silence()


async def test_the_conversation_has_one_id_both_ways_and_for_ever(doors: Doors, ann: Account, bob: Account) -> None:
    """The same after everybody has left and come back."""
    ids: set[str] = set()
    for _ in range(2):
        hers, his = await direct(doors, ann), await direct(doors, bob)
        await hers.send(private(bob))
        ids.add((await his.one())["conversationId"])
        await his.heard()
        await his.send(private(ann, "back"))
        while (frame := await hers.one())["sendId"] != bob.id:
            pass
        ids.add(frame["conversationId"])
        await hers.close()
        await his.close()
    assert len(ids) == 1


async def test_what_one_writes_elsewhere_comes_from_oneself(doors: Doors, ann: Account, bob: Account) -> None:
    """From a native device and a kama one."""
    hers, native, phone = await direct(doors, ann), await doors.live.connect(ann.person), await kama(doors, ann)

    await say_to(native, bob, "from elsewhere")

    frame = await hers.one()
    assert (frame["sendId"], frame["recvId"], frame["content"]) == (ann.id, bob.id, "from elsewhere")
    assert (await phone.one())["content"] == "from elsewhere"


async def test_a_native_member_reads_and_answers(doors: Doors, ann: Account, bob: Account) -> None:
    """One conversation, whatever is spoken."""
    native, his = await doors.live.connect(ann.person), await direct(doors, bob)

    await his.send(private(ann, "hello"))

    frame = await native.expect("log", skip=("conversation.added",))
    assert frame["payload"]["entries"][-1]["message"]["text"] == "hello"
    await say_to(native, bob, "hello yourself")
    assert (await his.one())["content"] == "hello yourself"


async def test_a_note_to_oneself_arrives(doors: Doors, ann: Account) -> None:
    """Whoever writes to themselves is the receiver."""
    hers = await direct(doors, ann)

    await hers.send(private(ann, "milk"))

    frame = await hers.one()
    assert (frame["sendId"], frame["recvId"], frame["content"]) == (ann.id, ann.id, "milk")


@pytest.mark.parametrize("content_type", [2, 3])
async def test_pictures_and_stickers_keep_their_number(
    doors: Doors, ann: Account, bob: Account, content_type: int
) -> None:
    hers, his = await direct(doors, ann), await direct(doors, bob)

    await hers.send(private(bob, "https://example.org/cat.png", contentType=content_type))

    frame = await his.one()
    assert (frame["contentType"], frame["content"]) == (content_type, "https://example.org/cat.png")


# Groups


async def test_a_group_is_heard_by_its_members(doors: Doors, ann: Account, bob: Account, cat: Account) -> None:
    """The sender too; nobody else."""
    talk = await doors.live.group(ann.person, bob.person)
    hers, his, others = [await direct(doors, who) for who in (ann, bob, cat)]

    await hers.send(grouped(talk, "all of you"))

    expected = (
        f'{{"conversationId":"{talk}","recvId":"","sendId":"{ann.id}","chatType":1,"content":"all of you",'
        '"contentType":1}'
    )
    assert [await hers.raw(), await his.raw()] == [expected, expected]
    await others.silence()


@pytest.mark.parametrize("name", ["", "all"])
async def test_the_lobby_is_called_all(doors: Doors, ann: Account, bob: Account, name: str) -> None:
    hers, his = await direct(doors, ann), await direct(doors, bob)

    await hers.send(grouped(name, "everybody"))

    assert await his.raw() == await hers.raw()
    native = await doors.live.connect(ann.person)
    await his.send(grouped(name, "more"))
    assert (await hers.one())["conversationId"] == "all"
    assert (await native.expect("log"))["payload"]["entries"][0]["message"]["text"] == "more"


async def test_a_room_goes_by_its_name(doors: Doors, ann: Account, bob: Account) -> None:
    """For its members; the frames carry its id."""
    room = await doors.live.room(ann.person, "garden")
    hers, his = await direct(doors, ann), await direct(doors, bob)

    await hers.send(grouped("garden", "roses"))

    assert (await hers.one())["conversationId"] == room
    for name in ("garden", "desert"):
        await his.send(grouped(name))
        assert "error" in await his.one()


# What the server tells


def told(kind: str, group: str, name: str, members: list[str], by: str) -> dict[str, Any]:
    info = {"groupId": group, "groupName": name, "memberIds": members, "creatorId": by}
    return {
        "conversationId": group, "recvId": "", "sendId": by, "chatType": 99, "content": "", "contentType": 1,
        "systemType": kind, "groupInfo": info,
    }  # fmt: skip


async def test_members_are_told_of_a_new_group(doors: Doors, ann: Account, bob: Account, cat: Account) -> None:
    """By whom it was made, which need not be the lowest number; then they hear it."""
    hers, others = await direct(doors, ann), await direct(doors, cat)

    talk = await doors.live.group(bob.person, ann.person)

    assert await hers.one() == told("group_create", talk, "", [ann.id, bob.id], bob.id)
    await doors.live.say(bob.person, talk, "welcome")
    assert (await hers.one())["content"] == "welcome"
    await others.silence()


async def test_who_is_removed_is_told(doors: Doors, ann: Account, bob: Account, cat: Account) -> None:
    """And hears nothing more; the others hear no system frame."""
    talk = await doors.live.group(bob.person, ann.person, cat.person)
    hers, others = await direct(doors, ann), await direct(doors, cat)

    await doors.live.remove(bob.person, talk, ann.person)

    assert await hers.one() == told("group_dismiss", talk, "", [], "")
    await doors.live.say(bob.person, talk, "gone?")
    assert (await others.one())["content"] == "gone?"
    await hers.silence()


async def test_all_are_told_that_a_room_has_closed(doors: Doors, ann: Account) -> None:
    room = await doors.live.room(ann.person, "garden")
    hers = await direct(doors, ann)

    close = CloseConversation(ConversationId(int(room)), doors.live.client_id())
    await doors.live.parley.dispatch.run(ann.person.actor, close)

    assert await hers.one() == told("group_dismiss", room, "garden", [], ann.id)
    await hers.send(grouped(room))
    assert (await hers.one())["error"]["name"] == "conversation_closed"


async def test_a_ping_resets_the_deadline(opening: OpenDoors) -> None:
    """One that only says its own ping lives; one that says nothing, not even pongs, is closed."""
    async with opening(heartbeat={"ping_s": 0.2, "silence_s": 0.6}, limits={"messages_per_second": 0}) as doors:
        ann, bob = await doors.account("ann"), await doors.account("bob")
        silent = await doors.live.hand()
        await silent.upgrade(target=f"/ws?token={bob.legacy}")
        speaking = await doors.live.hand()
        await speaking.upgrade(target=f"/ws?token={ann.legacy}")
        closing = doors.live.parley.hub.connections_of(bob.person.actor.user_id)[0]
        while not closing.closing:
            await speaking.send({"type": "ping"})
            while (await speaking.frame()) != (1, b'{"type":"pong"}'):
                pass

        assert await silent.closed() == 4002
