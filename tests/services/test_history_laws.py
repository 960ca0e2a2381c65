"""Laws of history: pages are the log cut into pieces, and a page of messages is what one gets by following the log."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.following import follow
from tests.services.world import World

from parley.protocol import commands as c
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError
from parley.protocol.types import ConversationId, MessageId
from parley.protocol.wire import Message, wire_entry
from parley.services.history import LogPage, MessagesPage

EMOJI = ("👍", "👎", "❤")
ACTIONS = (
    "say",
    "say",
    "edit",
    "delete",
    "react",
    "react",
    "react",
    "unreact",
    "pin",
    "unpin",
    "title",
    "leave",
    "add",
)

Step = tuple[str, int, int, int]
steps = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, 2), st.integers(0, 5), st.integers(0, 2)),
    min_size=5,
    max_size=40,
)


async def take(world: World, group: ConversationId, people: list[Actor], said: list[MessageId], step: Step) -> None:
    """Do it as far as the rules allow it."""
    action, who, which, emoji = step
    actor = people[who]
    message = said[which % len(said)] if said else MessageId(1)
    id_ = world.client_id()
    commands: dict[str, c.Durable] = {
        "say": c.SendMessage(group, id_, f"text {id_}"),
        "edit": c.EditMessage(group, id_, message, f"edit {id_}"),
        "delete": c.DeleteMessage(group, id_, message),
        "react": c.AddReaction(group, id_, message, EMOJI[emoji]),
        "unreact": c.RemoveReaction(group, id_, message, EMOJI[emoji]),
        "pin": c.AddPin(group, id_, message),
        "unpin": c.RemovePin(group, id_, message),
        "title": c.ChangeConversation(group, id_, title=f"title {id_}"),
        "leave": c.LeaveConversation(group, id_),
        "add": c.AddMember(group, id_, people[1 + who % 2].user_id),
    }
    world.clock.advance(0.5)
    try:
        ack = await world.do(people[0] if action in {"add", "title"} else actor, commands[action])
    except ChatError:
        return
    if action == "say":
        assert ack.message_id is not None
        said.append(ack.message_id)


def plain(messages: list[Message]) -> list[dict[str, Any]]:
    return msgspec.json.decode(msgspec.json.encode(messages), type=list[dict[str, Any]])


async def the_log(world: World, reader: Actor, group: ConversationId, limit: int, max_bytes: int) -> list[LogPage]:
    pages = [await world.history.log_page(reader, group, 0, limit, max_bytes)]
    while (after := pages[-1].next_after) is not None:
        pages.append(await world.history.log_page(reader, group, after, limit, max_bytes))
    return pages


def decoded(entries: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(entry) for entry in entries]


async def back(world: World, reader: Actor, group: ConversationId, limit: int) -> list[MessagesPage]:
    """All pages from the newest to the oldest."""
    pages = [await world.history.messages_page(reader, group, limit=limit, events=True)]
    while (before := pages[-1].next) is not None:
        pages.append(await world.history.messages_page(reader, group, before=before, limit=limit, events=True))
    return pages


async def forth(world: World, reader: Actor, group: ConversationId, limit: int) -> list[MessagesPage]:
    pages = [await world.history.messages_page(reader, group, after=0, limit=limit, events=True)]
    while (after := pages[-1].next) is not None:
        pages.append(await world.history.messages_page(reader, group, after=after, limit=limit, events=True))
    return pages


async def hold(world: World, taken: list[Step], cut: int, limit: int, max_bytes: int) -> None:
    people = [await world.account(name) for name in ("ann", "bob", "cid")]
    ann = people[0]
    group = await world.group(*people)
    said: list[MessageId] = []
    for step in taken[:cut]:
        await take(world, group, people, said, step)
    early = await world.history.messages_page(ann, group, limit=100)
    for step in taken[cut:]:
        await take(world, group, people, said, step)

    # Pages of the log are the log.
    pages = await the_log(world, ann, group, limit, max_bytes)
    log = [entry for page in pages for entry in decoded(page.entries)]
    head = pages[-1].head
    assert [entry["seq"] for entry in log] == list(range(1, head + 1))
    assert all(len(page.entries) <= limit for page in pages)

    # What was published live is what is read back.
    live = {entry.seq: json.loads(wire_entry(entry)) for entry in world.published if entry.conversation_id == group}
    for entry in log:
        if entry["kind"] not in {"message.created", "message.edited", "member.joined"}:
            assert entry == live[entry["seq"]]

    # Following the log from its beginning, or from an earlier snapshot, comes to what a fresh page shows.
    fresh = plain((await world.history.messages_page(ann, group, limit=100)).items)
    assert fresh == follow([], log, str(group))
    assert fresh == follow(plain(early.items), [entry for entry in log if entry["seq"] > early.head], str(group))

    # Pages in either direction are the whole, their events too.
    events = [entry for entry in log if entry["kind"].startswith(("member.", "conversation."))]
    backwards = await back(world, ann, group, limit)
    assert [message for page in reversed(backwards) for message in plain(page.items)] == fresh
    assert [event for page in reversed(backwards) for event in decoded(page.events or [])] == events
    forwards = await forth(world, ann, group, limit)
    assert [message for page in forwards for message in plain(page.items)] == fresh
    assert [event for page in forwards for event in decoded(page.events or [])] == events


@settings(max_examples=30, deadline=None)
@given(taken=steps, cut=st.integers(0, 30), limit=st.integers(1, 7), max_bytes=st.integers(1, 2000))
def test_pages_are_the_log_and_following_it_comes_to_the_same(
    taken: list[Step], cut: int, limit: int, max_bytes: int
) -> None:
    """Whatever happened in a conversation, wherever one cuts it."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            world = await World.open(Path(folder))
            try:
                await hold(world, taken, cut, limit, max_bytes)
            finally:
                await world.close()

    asyncio.run(run())
