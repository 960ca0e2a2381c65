"""Who hears what over Redis, and what a node does with what it should not have heard."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from tests.fanout.nodes import TestNode, entry, node

from parley.fanout import messages
from parley.protocol.events import Signal
from parley.protocol.types import ConversationId, EntryKind, SessionId, UserId

ROOM = ConversationId(7)
ANN = UserId(1)
END = Signal("end", {})


@pytest.fixture
async def two(redis_url: str, redis_prefix: str) -> AsyncIterator[tuple[TestNode, TestNode]]:
    async with node(redis_url, redis_prefix) as one, node(redis_url, redis_prefix) as other:
        for each in (one, other):
            each.fanout.hear_user(ANN)
            each.fanout.hear(ROOM)
            await each.hearing.listens_to(ROOM)
        yield one, other


async def end(said_by: TestNode, heard_by: TestNode) -> None:
    """What was said before has arrived after this, if it does at all."""
    said_by.fanout.tell_user(ANN, END)
    await heard_by.hearing.hears("user", ANN, END)


async def say(client: Redis, channel: bytes, payload: bytes) -> None:
    """As another node would."""
    await client.execute_command("SPUBLISH", channel, b"\x00" * 8 + payload)  # type: ignore[no-untyped-call]


async def test_only_nodes_with_a_member_hear_it_and_in_one_message_a_batch(two: tuple[TestNode, TestNode]) -> None:
    one, other = two
    elsewhere = ConversationId(55)

    one.fanout.publish([entry(seq) for seq in range(1, 51)])
    one.fanout.publish([entry(1, elsewhere)])
    await end(one, other)

    assert [e.seq for e in other.hearing.entries()] == list(range(1, 51))
    assert other.figure("parley_redis_received_total") == 2, "the batch, and the end"
    assert one.figure("parley_redis_received_total") == 0, "its own echo is nothing"


async def test_an_end_of_a_session_and_a_taken_seat_go_to_other_nodes_only(two: tuple[TestNode, TestNode]) -> None:
    one, other = two

    one.fanout.session_ended(SessionId(2**60), ANN)
    one.fanout.session_ended(None, ANN)
    one.fanout.seat_taken(ANN, "direct", "c-1")
    await end(one, other)

    assert other.hearing.heard[:3] == [
        ("ended", 2**60, ANN), ("ended", None, ANN), ("seat", ANN, "direct", "c-1"),
    ]  # fmt: skip
    assert one.hearing.heard == [("user", ANN, END)]


async def test_who_joins_is_told_where_nobody_hears_the_conversation_yet(two: tuple[TestNode, TestNode]) -> None:
    one, other = two
    new = ConversationId(56)

    one.fanout.publish([entry(4, new, kind=EntryKind.MEMBER_JOINED, user_id=ANN)])

    await other.hearing.hears("invite", new, ANN, 3)


async def test_a_guest_without_a_row_is_nobody_elsewhere(two: tuple[TestNode, TestNode]) -> None:
    """Their numbers mean somebody else on each node."""
    one, other = two
    other.fanout.hear_user(UserId(-3))

    one.fanout.tell_user(UserId(-3), Signal("x", {}))
    one.fanout.session_ended(None, UserId(-3))
    await end(one, other)

    assert other.hearing.heard == [("user", ANN, END)]


async def test_hearing_and_not_hearing_in_turns_ends_as_the_last_said(two: tuple[TestNode, TestNode]) -> None:
    """However quickly: within one turn, and with the answers of the turns before still under way."""
    one, other = two
    on, off = ConversationId(100), ConversationId(101)
    for _ in range(50):
        other.fanout.hear(off)
        other.fanout.unhear(on)
        await asyncio.sleep(0)
        other.fanout.unhear(off)
        other.fanout.hear(on)
        await asyncio.sleep(0)
    other.hearing.listens.clear()
    other.fanout.hear(ConversationId(102))
    await other.hearing.listens_to(102)

    one.fanout.publish([entry(1, on)])
    one.fanout.publish([entry(1, off)])
    await end(one, other)

    assert [e.conversation_id for e in other.hearing.entries()] == [on]


async def test_what_is_told_as_heard_is_heard(two: tuple[TestNode, TestNode]) -> None:
    """Ten thousand at once: a conversation that `listening` named misses nothing from then on."""
    one, other = two
    many = [ConversationId(1000 + number) for number in range(10_000)]
    for conversation_id in many:
        other.fanout.hear(conversation_id)
    await other.hearing.until(lambda: set(many) <= set().union(*(it for it in other.hearing.listens if it)))

    for conversation_id in many:
        one.fanout.publish([entry(1, conversation_id)])

    await other.hearing.until(lambda: len(other.hearing.entries()) == len(many))


BAD: dict[str, Any] = {
    "nothing": b"",
    "no message": b"\xc1",
    "cut off": messages.encode(messages.Published([entry(1)]))[:-3],
    "another type": msgspec.msgpack.encode({"type": "from the future"}),
    "wrong field": msgspec.msgpack.encode({"type": "entries", "entries": [{"seq": "one"}]}),
    "unknown kind": messages.encode(messages.Published([entry(1)])).replace(b"\xa4kind\x01", b"\xa4kind\x63"),
    "deep": b"\x91" * 100_000,
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_no_message_is_counted_and_costs_nothing_else(
    two: tuple[TestNode, TestNode], redis_url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = two
    async with Redis.from_url(redis_url, protocol=2) as stranger:
        await say(stranger, other.redis.names.conversation(ROOM), BAD[name])

    await end(one, other)
    assert other.hearing.heard == [("user", ANN, END)]
    assert other.figure("parley_redis_dropped_total", why="malformed") == 1


async def test_a_field_that_a_newer_version_has_is_passed_over(two: tuple[TestNode, TestNode], redis_url: str) -> None:
    """Rolling upgrades: the next version may add fields."""
    _, other = two
    plain = msgspec.msgpack.decode(messages.encode(messages.Published([entry(1)])))
    plain["entries"][0]["from_the_future"] = 1
    async with Redis.from_url(redis_url, protocol=2) as newer:
        await say(newer, other.redis.names.conversation(ROOM), msgspec.msgpack.encode(plain))

    await other.hearing.hears("entries", entry(1))


async def test_a_subscriber_that_fails_costs_one_message(two: tuple[TestNode, TestNode]) -> None:
    one, other = two
    notes = other.hearing.publish

    def fails(entries: Any) -> None:
        other.hearing.publish = notes  # type: ignore[method-assign]
        raise RuntimeError("the hub has a mistake")

    other.hearing.publish = fails  # type: ignore[method-assign]
    one.fanout.publish([entry(1)])
    one.fanout.publish([entry(2)])

    await other.hearing.hears("entries", entry(2))
    assert other.figure("parley_redis_dropped_total", why="failed") == 1


async def test_what_cannot_be_encoded_is_heard_here_and_raises_nothing(two: tuple[TestNode, TestNode]) -> None:
    one, other = two
    odd = Signal("odd", {"object": object()})

    one.fanout.tell_user(ANN, odd)
    await end(one, other)

    assert ("user", ANN, odd) in one.hearing.heard
    assert other.hearing.heard == [("user", ANN, END)]


async def test_servers_with_other_prefixes_hear_nothing_of_each_other(
    two: tuple[TestNode, TestNode], redis_url: str, redis_prefix: str
) -> None:
    one, other = two
    theirs = f"{redis_prefix}x"
    async with node(redis_url, theirs) as stranger, node(redis_url, theirs) as their_other:
        stranger.fanout.hear(ROOM)
        stranger.fanout.hear_user(ANN)
        await stranger.hearing.listens_to(ROOM)

        one.fanout.publish([entry(1)])
        await end(one, other)
        await end(their_other, stranger)

        assert stranger.hearing.heard == [("user", ANN, END)]
