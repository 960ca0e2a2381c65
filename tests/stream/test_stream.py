"""Every entry reaches the topic at least once and in order, whatever fails in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import Connection, select
from structlog.testing import capture_logs
from tests.store.stores import SHARED, Store
from tests.stream.readers import Reader, native, reading, stream_of

from parley.protocol.commands import DeleteMessage
from parley.protocol.types import ConversationId
from parley.store.cluster_tables import leases, stream_cursors
from parley.store.interface import StoreUnavailable
from parley.store.sql.leases import take_lease
from parley.store.sql.streaming import advance as real_advance
from parley.stream import stream as module
from parley.stream.stream import Stream, lease_name
from parley.testing.engines import KafkaServer
from parley.testing.shared import Topics

on_every_store = pytest.mark.parametrize("store", ["sqlite", *SHARED], indirect=True)


@pytest.fixture
def topic(kafka: Topics) -> str:
    return kafka.prefix + "stream"


@pytest.fixture
async def reader(kafka: Topics, topic: str) -> AsyncIterator[Reader]:
    async with reading(kafka.bootstrap, topic) as reader:
        yield reader


@pytest.fixture
async def streams(kafka: Topics, topic: str, store: Store) -> AsyncIterator[Callable[..., Any]]:
    """Start a stream; all are stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(**more: Any) -> Stream:
            made = stream_of(store, kafka.bootstrap, topic, **more)
            await made.start()
            stack.push_async_callback(made.stop)
            return made

        yield start


@on_every_store
async def test_entries_come_as_clients_see_them_with_their_conversation(
    streams: Any, store: Store, reader: Reader
) -> None:
    """What was there before the first start, and what is said afterwards."""
    ann, bob = store.user("ann"), store.user("bob")
    room, group = store.open_room(ann, bob), store.group(ann, bob)
    for n in range(5):
        store.say(ann, room, f"before {n}")
    stream = await streams()
    await reader.until(store, room, group)
    store.say(bob, room, "afterwards 你好")
    stream.heard(store.log(room)[-1:])
    await reader.until(store, room)

    for conversation in (room, group):
        assert reader.got[str(conversation)] == native(store, conversation)
        assert reader.keys[str(conversation)] == {str(conversation).encode()}


@pytest.mark.parametrize("store", list(SHARED), indirect=True)
async def test_what_another_node_wrote_is_found_without_a_word(streams: Any, store: Store, reader: Reader) -> None:
    ann = store.user("ann")
    room = store.open_room(ann)
    await streams(shared=True)
    await reader.until(store, room)
    other = store.another()
    try:
        other.say(ann, room, "from elsewhere")
        await reader.until(store, room)
    finally:
        other.close()

    assert reader.got[str(room)] == native(store, room)


async def test_what_was_not_heard_is_found_by_comparing(streams: Any, store: Store, reader: Reader) -> None:
    ann = store.user("ann")
    room = store.open_room(ann)
    await streams(times=module.Times(compare=0.2, again=0.05))
    await reader.until(store, room)
    store.say(ann, room, "nobody told")
    await reader.until(store, room)

    assert reader.seqs(room) == [1, 2]


async def test_a_long_log_comes_whole_and_beside_it_a_short_one(
    streams: Any, store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In more rounds than one, in every direction: conversations, entries of one, entries of all."""
    for name, bound in (("CONVERSATIONS", 2), ("ENTRIES", 7), ("ENTRIES_EACH", 3)):
        monkeypatch.setattr(module, name, bound)
    ann = store.user("ann")
    rooms = [store.open_room(ann) for _ in range(5)]
    for n in range(40):
        store.say(ann, rooms[0] if n % 2 else rooms[n % 5], f"{n}")
    await streams()
    await reader.until(store, *rooms)

    for room in rooms:
        assert reader.got[str(room)] == native(store, room)


async def test_more_than_can_be_remembered_is_compared(
    streams: Any, store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARD", 2)
    ann = store.user("ann")
    rooms = [store.open_room(ann) for _ in range(6)]
    stream = await streams()
    await reader.until(store, *rooms)
    for room in rooms:
        store.say(ann, room)
    for room in rooms:
        stream.heard(store.log(room)[-1:])
    await reader.until(store, *rooms)

    assert [reader.seqs(room) for room in rooms] == [[1, 2]] * 6


async def test_a_deleted_message_is_streamed_empty_and_then_its_deletion(
    streams: Any, store: Store, reader: Reader
) -> None:
    ann = store.user("ann")
    room = store.open_room(ann)
    message = store.say(ann, room, "regretted")
    store.do(ann, DeleteMessage(room, "d1", message))
    await streams()
    await reader.until(store, room)

    _, created, deleted = reader.got[str(room)]
    assert "regretted" not in str(created)
    assert (created["kind"], deleted["kind"], deleted["message_id"]) == (
        "message.created",
        "message.deleted",
        str(message),
    )


# What fails


async def test_after_a_crash_between_kafka_and_the_cursor_entries_come_again_and_none_is_missing(
    streams: Any, store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = store.user("ann")
    room = store.open_room(ann)
    for n in range(9):
        store.say(ann, room, f"{n}")
    monkeypatch.setattr(module, "ENTRIES_EACH", 4)
    failures = iter([None, StoreUnavailable("cut"), None, StoreUnavailable("cut")])

    def advance(connection: Connection, topic: str, cursors: Mapping[ConversationId, int]) -> None:
        if (failure := next(failures, None)) is not None:
            raise failure
        real_advance(connection, topic, cursors)

    monkeypatch.setattr(module, "advance", advance)
    await streams()
    await reader.until(store, room)
    while store.on_writer(lambda it: it.scalar(select(stream_cursors.c.seq).where(_is(room)))) != 10:
        await reader.read()

    assert len(reader.seqs(room)) > 10, "nothing came twice: the failure did not happen"
    assert reader.kept(room) == list(range(1, 11))


def _is(room: ConversationId) -> Any:
    return stream_cursors.c.conversation_id == room


async def test_a_stream_that_starts_again_goes_on_where_it_was(streams: Any, store: Store, reader: Reader) -> None:
    ann = store.user("ann")
    room = store.open_room(ann)
    first = await streams()
    await reader.until(store, room)
    await first.stop()
    store.say(ann, room)
    await streams()
    await reader.until(store, room)

    assert reader.seqs(room) == [1, 2]


@on_every_store
async def test_one_at_a_time_streams_and_another_takes_over(streams: Any, store: Store, reader: Reader) -> None:
    """Handed over at once by one that stops; by one that died, when its lease has run out."""
    ann = store.user("ann")
    room = store.open_room(ann)
    first = await streams(owner="one")
    await reader.until(store, room)
    second = await streams(owner="two")
    assert _holder(store) == "one"

    await first.stop()
    store.say(ann, room)
    second.heard(store.log(room)[-1:])
    await reader.until(store, room)
    assert _holder(store) == "two"

    assert second._running is not None
    second._running.cancel()
    await asyncio.wait([second._running])
    store.say(ann, room)
    await streams(owner="three")
    await reader.until(store, room)
    assert _holder(store) == "three"
    # At least once: the second may have died between the topic and its own note of it.
    assert reader.seqs(room) in ([1, 2, 3], [1, 2, 2, 3])


def _holder(store: Store) -> str | None:
    return store.on_writer(lambda connection: connection.scalar(select(leases.c.owner)))


async def test_who_lost_the_lease_stops(streams: Any, store: Store, reader: Reader, topic: str) -> None:
    """Asleep for too long; another has it by now."""
    ann = store.user("ann")
    room = store.open_room(ann)
    stream = await streams(owner="sleeper")
    await reader.until(store, room)
    name = lease_name(topic)
    taken = leases.update().where(leases.c.name == name).values(owner="other", until=1 << 60)
    store.on_writer(lambda connection: connection.execute(taken).rowcount)
    with capture_logs() as lines:
        while "stream_goes_on_elsewhere" not in [line["event"] for line in lines]:
            await reader.read()
    store.say(ann, room)
    stream.heard(store.log(room)[-1:])
    await streams(owner="other")
    await reader.until(store, room)

    assert reader.seqs(room) == [1, 2]


@on_every_store
async def test_a_lease_is_one_owners_until_it_ends(store: Store) -> None:
    taken = [
        store.on_writer(lambda connection, owner=owner, ms=ms: take_lease(connection, "work", owner, ms))  # type: ignore[misc]
        for owner, ms in [("a", 60_000), ("b", 60_000), ("a", -1), ("b", 60_000), ("a", 60_000)]
    ]

    assert taken == [True, False, True, True, False]


async def test_a_broker_that_is_away_is_waited_for_and_chat_goes_on(store: Store) -> None:
    ann = store.user("ann")
    rooms = [store.open_room(ann) for _ in range(3)]
    async with KafkaServer() as broker:
        async with reading(broker.bootstrap, "entries") as reader:
            stream = stream_of(store, broker.bootstrap, "entries")
            await stream.start()
            try:
                await reader.until(store, *rooms)
                broker.kill()
                for n in range(30):
                    store.say(ann, rooms[n % 3], f"{n}")
                    stream.heard(store.log(rooms[n % 3])[-1:])
                await broker.started()
                await reader.until(store, *rooms)
            finally:
                await stream.stop()

    for room in rooms:
        assert reader.kept(room) == list(range(1, 12))
