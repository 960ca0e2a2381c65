"""History: messages as they stand now, and what is known of one."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, event, insert, update
from tests.services.world import EPOCH, World
from tests.store.stores import KITS

from parley.clock import rfc3339
from parley.protocol.commands import (
    Actor,
    AddPin,
    AddReaction,
    DeleteMessage,
    EditMessage,
    RemoveReaction,
    SendMessage,
)
from parley.protocol.errors import ChatError, Code
from parley.protocol.events import Ack
from parley.protocol.types import ConversationId, EntryKind, MessageId
from parley.store.tables import conversations, entries


@pytest.fixture
async def ann(world: World) -> Actor:
    return await world.account("ann")


@pytest.fixture
async def bob(world: World) -> Actor:
    return await world.account("bob")


@pytest.fixture
async def group(world: World, ann: Actor, bob: Actor) -> ConversationId:
    return await world.group(ann, bob)


async def shown(world: World, reader: Actor, group: ConversationId, **bounds: Any) -> list[dict[str, Any]]:
    page = await world.history.messages_page(reader, group, **bounds)
    return msgspec.json.decode(msgspec.json.encode(page.items), type=list[dict[str, Any]])


def id_of(ack: Ack) -> MessageId:
    assert ack.message_id is not None
    return ack.message_id


async def refusal(asked: object) -> object:
    with pytest.raises(ChatError) as caught:
        await asked  # type: ignore[misc]
    return caught.value.spec


async def test_a_message_has_the_protocols_shape(world: World, ann: Actor, bob: Actor, group: ConversationId) -> None:
    ack = await world.do(ann, SendMessage(group, "say-1", 'a "quoted" 字', mentions=(bob.user_id,)))

    [message] = await shown(world, bob, group)

    assert message == {
        "id": str(ack.message_id), "conversation_id": str(group), "seq": 3, "ordinal": 1, "by": str(ann.user_id),
        "at": rfc3339(ack.at), "client_id": "say-1", "kind": "text", "text": 'a "quoted" 字', "reply_to": None,
        "thread_of": None, "mentions": [str(bob.user_id)], "attachments": [], "edit": 0, "edited_at": None,
        "deleted": False, "pinned": False, "reactions": [],
    }  # fmt: skip


async def test_an_entry_is_the_stored_body_in_its_frame(world: World, ann: Actor, group: ConversationId) -> None:
    ack = await world.do(ann, SendMessage(group, "say-1", "hi"))

    page = await world.history.log_page(ann, group, 2)

    assert (page.epoch, page.head, page.last_seq, page.next_after) == (EPOCH, 3, 3, None)
    assert json.loads(page.entries[0]) == {
        "seq": 3, "kind": "message.created", "by": str(ann.user_id), "at": rfc3339(ack.at), "client_id": "say-1",
        "ordinal": 1, "message": {
            "id": str(ack.message_id), "kind": "text", "text": "hi", "reply_to": None, "thread_of": None,
            "mentions": [], "attachments": [],
        },
    }  # fmt: skip


async def test_the_present_text_is_the_last_edit(world: World, ann: Actor, group: ConversationId) -> None:
    message = id_of(await world.say(ann, group, "one"))
    await world.do(ann, EditMessage(group, "e1", message, "two"))
    world.clock.advance(1)
    last = await world.do(ann, EditMessage(group, "e2", message, "three"))

    [found] = await shown(world, ann, group)

    assert (found["text"], found["edit"], found["edited_at"]) == ("three", 2, rfc3339(last.at))


async def test_its_writings_are_kept_the_first_first(world: World, ann: Actor, group: ConversationId) -> None:
    message = id_of(await world.say(ann, group, "one"))
    for text in ("two", "three"):
        await world.do(ann, EditMessage(group, world.client_id(), message, text))

    writings, following = await world.history.edits(ann, group, message)

    assert ([(one.seq, one.by, one.text) for one in writings], following) == (
        [(3, ann.user_id, "one"), (4, ann.user_id, "two"), (5, ann.user_id, "three")],
        None,
    )
    first, after = await world.history.edits(ann, group, message, limit=2)
    rest, _ = await world.history.edits(ann, group, message, limit=2, after=after or 0)
    assert first + rest == writings


async def test_of_a_deleted_message_only_the_place_is_left(
    world: World, ann: Actor, bob: Actor, group: ConversationId
) -> None:
    message = id_of(await world.say(ann, group, "secret"))
    await world.do(ann, EditMessage(group, "e1", message, "secret too"))
    await world.do(bob, AddReaction(group, "r1", message, "👍"))
    await world.do(bob, AddPin(group, "p1", message))
    await world.do(ann, DeleteMessage(group, "d1", message))

    [found] = await shown(world, bob, group)

    gone: dict[str, Any] = {
        "text": None,
        "deleted": True,
        "reactions": [],
        "attachments": [],
        "pinned": False,
        "edited_at": None,
    }
    assert gone.items() <= found.items()
    assert b"secret" not in b"".join((await world.history.log_page(bob, group)).entries)
    assert await refusal(world.history.edits(bob, group, message)) is Code.MESSAGE_DELETED


async def test_reactions_stand_in_the_order_of_their_first_use(
    world: World, ann: Actor, bob: Actor, group: ConversationId
) -> None:
    """Also when the first to use one has taken theirs back while another kept it there."""
    message = id_of(await world.say(ann, group))
    await world.do(ann, AddReaction(group, "r1", message, "👍"))
    await world.do(ann, AddReaction(group, "r2", message, "❤"))
    await world.do(bob, AddReaction(group, "r3", message, "👍"))
    await world.do(ann, RemoveReaction(group, "r4", message, "👍"))

    [found] = await shown(world, ann, group)

    assert found["reactions"] == [
        {"emoji": "👍", "user_ids": [str(bob.user_id)]},
        {"emoji": "❤", "user_ids": [str(ann.user_id)]},
    ]


async def test_pages_go_back_forth_and_around(world: World, ann: Actor, group: ConversationId) -> None:
    """Messages stand at 3 to 12; each page ends where the next begins."""
    for _ in range(10):
        await world.say(ann, group)

    async def page(**bounds: int) -> tuple[list[int], int | None]:
        found = await world.history.messages_page(ann, group, **bounds)  # type: ignore[arg-type]
        return [message.seq for message in found.items], found.next

    assert await page(limit=4) == ([9, 10, 11, 12], 9)
    assert await page(before=9, limit=4) == ([5, 6, 7, 8], 5)
    assert await page(before=5, limit=4) == ([3, 4], None)
    assert await page(after=0, limit=4) == ([3, 4, 5, 6], 6)
    assert await page(after=8, limit=4) == ([9, 10, 11, 12], None)
    assert await page(around=7, limit=4) == ([6, 7, 8, 9], 6)
    assert await page(around=12, limit=4) == ([11, 12], 11)
    assert await page(around=1, limit=4) == ([3, 4], None)
    assert await page(around=10**15, limit=4) == ([11, 12], 11)
    assert await page(before=0) == ([], None)
    assert await page(after=10**15) == ([], None)
    assert await refusal(page(before=4, after=4)) is Code.BAD_PAYLOAD


async def test_a_limit_is_kept_even_when_more_is_asked(world: World, ann: Actor, group: ConversationId) -> None:
    for _ in range(101):
        await world.say(ann, group)

    assert len((await world.history.messages_page(ann, group, limit=1000)).items) == 100


async def test_a_page_of_the_log_ends_at_its_bytes(world: World, ann: Actor, group: ConversationId) -> None:
    """But it always has one entry, or the reader would stand still."""
    for _ in range(3):
        await world.say(ann, group, "x" * 1000)

    page = await world.history.log_page(ann, group, 2, max_bytes=2500)
    assert (len(page.entries), page.next_after) == (2, 4)
    page = await world.history.log_page(ann, group, 2, max_bytes=1)
    assert (len(page.entries), page.next_after) == (1, 3)


async def test_a_long_page_is_read_in_steps(world: World, ann: Actor, group: ConversationId) -> None:
    for _ in range(248):
        await world.say(ann, group)

    found = await world.history.entries_after(group, 0, 230, 10**9)

    assert found is not None
    assert ([entry.seq for entry in found[0]], found[1]) == (list(range(1, 231)), 250)


async def test_a_cursor_of_another_history_gets_no_entries(world: World, ann: Actor, group: ConversationId) -> None:
    page = await world.history.log_page(ann, group, 1, epoch="restored")
    assert (page.epoch, page.head, page.entries, page.next_after) == (EPOCH, 2, [], None)

    page = await world.history.log_page(ann, group, 1, epoch=EPOCH)
    assert len(page.entries) == 1

    assert (await world.history.log_page(ann, group, 99)).entries == []


async def test_kept_answers_are_not_in_the_log(world: World, ann: Actor, group: ConversationId) -> None:
    """Reacting twice changes nothing the second time: its row has no seq and shows nowhere."""
    message = id_of(await world.say(ann, group))
    for id_ in ("r1", "r2"):
        await world.do(ann, AddReaction(group, id_, message, "👍"))

    page = await world.history.log_page(ann, group)

    assert [json.loads(entry)["seq"] for entry in page.entries] == [1, 2, 3, 4]
    assert len(await shown(world, ann, group)) == 1


async def test_pins_stand_the_last_pinned_first(world: World, ann: Actor, group: ConversationId) -> None:
    one, two, three = [id_of(await world.say(ann, group)) for _ in range(3)]
    for message in (two, one, three):
        await world.do(ann, AddPin(group, world.client_id(), message))

    found, after = await world.history.pins(ann, group, limit=2)
    rest, end = await world.history.pins(ann, group, limit=2, before=after)

    assert ([message.id for message in found + rest], end) == ([str(three), str(one), str(two)], None)
    assert all(message.pinned for message in found + rest)


async def test_receipts_name_those_it_reached(world: World, ann: Actor, bob: Actor) -> None:
    """The writer is left out, and so is who has left."""
    cid, dan = await world.account("cid"), await world.account("dan")
    group = await world.group(ann, bob, cid, dan)
    ack = await world.say(ann, group)
    await world.read(bob, group, ack.seq)
    await world.read(cid, group, ack.seq - 1)

    receipts = await world.history.receipts(dan, group, id_of(ack))

    assert (receipts.delivered, receipts.read) == ([bob.user_id], [bob.user_id])


async def test_receipts_of_the_lobby(world: World, ann: Actor, bob: Actor) -> None:
    ack = await world.say(ann, world.lobby)
    await world.read(bob, world.lobby, ack.seq)

    assert (await world.history.receipts(ann, world.lobby, id_of(ack))).read == [bob.user_id]


async def test_a_message_is_looked_for_in_its_conversation_only(
    world: World, ann: Actor, group: ConversationId
) -> None:
    elsewhere = id_of(await world.say(ann, await world.group(ann)))

    assert await refusal(world.history.edits(ann, group, elsewhere)) is Code.UNKNOWN_MESSAGE
    assert await refusal(world.history.receipts(ann, group, elsewhere)) is Code.UNKNOWN_MESSAGE


async def test_a_message_that_grew_shows_what_it_grew_to(world: World, ann: Actor, group: ConversationId) -> None:
    """And its status stays known when it is edited afterwards."""
    message = id_of(await world.say(ann, group))
    streaming = json.dumps({"message": {"id": str(message), "kind": "text", "text": "", "status": "streaming"}})
    done = json.dumps({"message_id": str(message), "text": "grown", "status": "done"})

    def grow(connection: Any) -> None:
        row = {
            "id": 1, "conversation_id": group, "seq": 4, "ordinal": 1, "kind": int(EntryKind.MESSAGE_COMPLETED),
            "actor_id": ann.user_id, "client_id": "grow", "at": 5, "message_id": message, "body": done,
        }  # fmt: skip
        connection.execute(insert(entries).values(row))
        e = entries.c
        connection.execute(update(entries).where(e.id == message).values(body=streaming, edited_seq=4))
        connection.execute(update(conversations).where(conversations.c.id == group).values(last_seq=4))

    await world.database.write(grow)
    [found] = await shown(world, ann, group)
    assert (found["text"], found["status"], found["edit"], found["edited_at"]) == ("grown", "done", 0, None)

    await world.do(ann, EditMessage(group, "e1", message, "mine"))
    [found] = await shown(world, ann, group)
    assert (found["text"], found["status"], found["edit"]) == ("mine", "done", 1)
    assert [one.text for one in (await world.history.edits(ann, group, message))[0]] == ["grown", "mine"]


async def test_a_page_costs_the_same_number_of_questions_however_long(
    world: World, ann: Actor, bob: Actor, group: ConversationId
) -> None:
    """Messages with edits, reactions and pins are put together for the whole page, not one by one."""

    async def furnish(count: int) -> None:
        for _ in range(count):
            message = id_of(await world.say(ann, group))
            await world.do(ann, EditMessage(group, world.client_id(), message, "new"))
            for actor, emoji in ((ann, "👍"), (bob, "❤")):
                await world.do(actor, AddReaction(group, world.client_id(), message, emoji))
            await world.do(ann, AddPin(group, world.client_id(), message))

    await furnish(2)
    few = await questions(world, ann, group)
    await furnish(20)
    many = await questions(world, ann, group)

    assert few == many <= 5


@pytest.mark.parametrize("kit", [KITS["sqlite"]], ids=["sqlite"], indirect=True)
async def test_no_read_walks_the_whole_table(world: World, ann: Actor, group: ConversationId) -> None:
    """Every read of entries goes by an index, however the tables grow."""
    message = id_of(await world.say(ann, group))
    await world.do(ann, EditMessage(group, "e1", message, "new"))
    for emoji in ("👍", "❤"):
        await world.do(ann, AddReaction(group, world.client_id(), message, emoji))

    asked = await statements(
        world,
        world.history.messages_page(ann, group, events=True),
        world.history.messages_page(ann, group, after=1),
        world.history.log_page(ann, group),
        world.history.edits(ann, group, message),
        world.history.receipts(ann, group, message),
        world.history.pins(ann, group),
        world.conversations.view(ann, group),
        world.conversations.heads(ann.user_id, [group]),
    )

    def plans(connection: Connection) -> list[str]:
        explained = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values) for text, values in asked]
        return [row[-1] for result in explained for row in result]

    big = ("entries", "present", "conversations", "members", "marks", "reactions")
    steps = await world.database.read(plans)
    assert [step for step in steps if step.startswith(tuple(f"SCAN {name}" for name in big))] == []
    assert any(step.startswith("SEARCH entries") for step in steps)


async def questions(world: World, reader: Actor, group: ConversationId) -> int:
    """How many statements a page of messages takes."""
    return len(await statements(world, world.history.messages_page(reader, group, events=True)))


async def statements(world: World, *asked: Coroutine[Any, Any, object]) -> list[tuple[str, Any]]:
    """What is sent to the database while this is answered."""
    sent: list[tuple[str, Any]] = []

    def note(*arguments: Any) -> None:
        if arguments[2] != "BEGIN":
            sent.append((arguments[2], arguments[3]))

    engine = world.database._readers
    event.listen(engine, "before_cursor_execute", note)
    for one in asked:
        await one
    event.remove(engine, "before_cursor_execute", note)
    return sent
