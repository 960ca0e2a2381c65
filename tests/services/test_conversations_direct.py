"""Direct conversations: one for ever per pair of users, under any race."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select
from tests.services.world import World

from parley.protocol.commands import SendMessage
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ConversationId, ConversationKind, UserId
from parley.services.directs import KnownDirects
from parley.store.tables import conversations, members


async def test_both_sides_racing_open_one(world: World) -> None:
    """Twenty openers from both ends get the same conversation, and one of them made it."""
    ann, bob = await world.account("ann"), await world.account("bob")

    opened = await asyncio.gather(
        *(world.conversations.open_direct(*((ann, bob.user_id) if n % 2 else (bob, ann.user_id))) for n in range(20))
    )

    assert len({conversation for conversation, _ in opened}) == 1
    assert [created for _, created in opened].count(True) == 1
    count = select(func.count()).select_from(conversations).where(conversations.c.low_user.is_not(None))
    assert await world.database.read(lambda connection: connection.execute(count).scalar_one()) == 1
    [(announced, log, users)] = world.announced
    assert (announced, log, {*users}) == (opened[0][0], [], {ann.user_id, bob.user_id})


async def test_both_are_members_from_the_first_moment(world: World) -> None:
    ann, bob = await world.account("ann"), await world.account("bob")

    conversation, _ = await world.conversations.open_direct(ann, bob.user_id)

    rows = await world.database.read(
        lambda connection: connection.execute(
            select(members.c.user_id, members.c.role, members.c.joined_seq)
            .where(members.c.conversation_id == conversation)
            .order_by(members.c.user_id)
        ).all()
    )
    assert [tuple(row) for row in rows] == [(ann.user_id, "member", 0), (bob.user_id, "member", 0)]
    view = await world.conversations.view(bob, conversation)
    assert (view.kind, view.head, view.member_count, view.name, view.join_policy) == ("direct", 0, 2, None, "invite")
    assert view.peer is not None
    assert view.peer["username"] == "ann"


async def test_with_oneself_it_is_a_place_for_notes(world: World) -> None:
    ann = await world.account("ann")

    conversation, created = await world.conversations.open_direct(ann, ann.user_id)

    view = await world.conversations.view(ann, conversation)
    assert created
    assert view.member_count == 1
    assert view.peer is not None
    assert view.peer["username"] == "ann"
    assert (await world.say(ann, conversation)).seq == 1


async def test_nobody_can_be_talked_to_who_is_not_there(world: World) -> None:
    ann = await world.account("ann")
    for other in (UserId(999), (await world.account("gone", gone=True)).user_id):
        with pytest.raises(ChatError) as caught:
            await world.conversations.open_direct(ann, other)
        assert caught.value.spec is Code.UNKNOWN_USER


async def test_a_known_pair_is_answered_without_waiting(world: World) -> None:
    ann, bob = await world.account("ann"), await world.account("bob")
    assert world.conversations.known_direct(ann.user_id, bob.user_id) is None

    conversation, _ = await world.conversations.open_direct(ann, bob.user_id)

    assert world.conversations.known_direct(bob.user_id, ann.user_id) == conversation
    assert await world.conversations.open_direct(bob, ann.user_id) == (conversation, False)


async def test_creating_one_by_http_or_by_the_first_message_is_the_same(world: World) -> None:
    ann, bob = await world.account("ann"), await world.account("bob")

    ack = await world.do(ann, SendMessage(ConversationId(0), "first", "hi", to_user_id=bob.user_id))
    view, created = await world.conversations.create(bob, "make-1", ConversationKind.DIRECT, user_id=ann.user_id)

    assert (view.id, created) == (ack.conversation_id, False)
    assert view.unread == 1


def test_what_was_met_longest_ago_is_forgotten_first() -> None:
    known = KnownDirects(most=2)
    one, two, three = UserId(1), UserId(2), UserId(3)
    known.put(one, two, ConversationId(12))
    known.put(one, three, ConversationId(13))
    known.get(two, one)

    known.put(two, three, ConversationId(23))

    assert (known.get(one, two), known.get(one, three), known.get(three, two)) == (12, None, 23)
