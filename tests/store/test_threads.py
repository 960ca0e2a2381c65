"""The threads that talk SQL: what is asked of them is done once, to its end, whatever becomes of who asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError
from tests.store.faults import io_error
from tests.store.stores import Kit, Store, ack_of

from parley.protocol.commands import SendMessage
from parley.protocol.types import ConversationId, UserId
from parley.store import threads
from parley.store.interface import Append, BatchResult, StoreBroken, StoreUnavailable
from parley.store.tables import meta


def keys(connection: Connection) -> set[str]:
    return set(connection.scalars(select(meta.c.key)))


@pytest.fixture
def gate(store: Store) -> Iterator[threading.Event]:
    """The writer's thread stands still until it is set."""
    gate, held = threading.Event(), threading.Event()

    def hold(_connection: Connection) -> None:
        held.set()
        gate.wait(30)

    store.database.writer.submit(hold)
    assert held.wait(30)
    yield gate
    gate.set()


async def write(store: Store, key: str) -> None:
    await store.database.write(lambda connection: connection.execute(insert(meta).values(key=key, value="x")))


async def test_what_was_written_can_be_read_at_once(store: Store) -> None:
    for n in range(20):
        await write(store, f"k{n}")
        assert f"k{n}" in await store.database.read(keys)


async def test_a_change_that_raises_is_rolled_back_and_raises_here(store: Store) -> None:
    def change(connection: Connection) -> None:
        connection.execute(insert(meta).values(key="half", value="x"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.database.write(change)

    assert "half" not in await store.database.read(keys)


async def test_a_conflict_is_the_callers_to_deal_with(store: Store) -> None:
    await write(store, "once")
    with pytest.raises(IntegrityError):
        await write(store, "once")
    await write(store, "twice")


async def test_who_stops_waiting_does_not_stop_the_write(store: Store, gate: threading.Event) -> None:
    """Once begun it runs to its end, and the others get their answers."""
    gone, stays = asyncio.create_task(write(store, "gone")), asyncio.create_task(write(store, "stays"))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    gate.set()
    await stays

    assert {"gone", "stays"} <= await store.database.read(keys)


async def test_writes_keep_their_order(store: Store, gate: threading.Event) -> None:
    done: list[int] = []
    asked = [asyncio.create_task(store.database.write(lambda _, n=n: done.append(n))) for n in range(20)]  # type: ignore[misc]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*asked)

    assert done == list(range(20))


async def test_readers_do_not_wait_for_the_writer(store: Store, gate: threading.Event) -> None:
    async with asyncio.timeout(10):
        assert "epoch" in await store.database.read(keys)
    assert not gate.is_set()


async def test_too_many_waiting_writes_are_refused(
    store: Store, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "WRITES_WAITING", 3)
    asked = [asyncio.create_task(write(store, f"k{n}")) for n in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(StoreUnavailable, match="too many"):
        await write(store, "one more")

    gate.set()
    await asyncio.gather(*asked)


def test_the_thread_outlives_a_listener_that_fails(store: Store, ann: UserId, group: ConversationId) -> None:
    """Such as one whose event loop is closed."""

    def done(result: BatchResult | StoreUnavailable) -> None:
        raise RuntimeError("Event loop is closed")

    store.batches.submit([Append(ann, SendMessage(group, "heard by nobody", "hello"))], [], done)

    assert ack_of(store.write(Append(ann, SendMessage(group, "next", "hello")))[0]).seq == 4


def test_the_thread_outlives_a_lost_connection(store: Store, ann: UserId, group: ConversationId) -> None:
    """The next transaction begins on a new one, opened as the first was."""
    store.database.writer.submit(lambda connection: connection.invalidate())

    assert ack_of(store.write(Append(ann, SendMessage(group, "next", "hello")))[0]).seq == 3


async def test_the_thread_outlives_whoever_asked(store: Store, gate: threading.Event) -> None:
    """A write whose event loop is gone when it is done."""

    def ask() -> None:
        loop = asyncio.new_event_loop()
        asked = loop.create_task(write(store, "orphan"))
        loop.call_soon(loop.stop)
        loop.run_forever()
        asked.cancel()
        loop.run_until_complete(asyncio.wait([asked]))
        loop.close()

    await asyncio.to_thread(ask)
    gate.set()

    await write(store, "next")
    assert {"orphan", "next"} <= await store.database.read(keys)


async def test_a_closed_store_takes_nothing_and_leaves_nobody_waiting(kit: Kit, store: Store, ann: UserId) -> None:
    """What was submitted before is done; what comes after is told so at once."""
    last = asyncio.create_task(write(store, "last"))
    await asyncio.sleep(0)
    await asyncio.to_thread(store.database.stop)
    await last

    with pytest.raises(StoreUnavailable):
        await write(store, "late")
    answer = store.attempt([Append(ann, SendMessage(store.lobby, "late", "hello"))])
    assert type(answer) is StoreUnavailable
    store.reopen()
    assert {"last", "late"} & await store.database.read(keys) == {"last"}


async def test_a_failed_sync_outside_the_log_breaks_the_store_too(
    store: Store, ann: UserId, group: ConversationId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new account is as durable as a message, or the process stops."""

    def do_commit(_connection: object) -> None:
        raise io_error("SQLITE_IOERR_FSYNC")

    with monkeypatch.context() as patch:
        patch.setattr(store.engine.dialect, "do_commit", do_commit)
        with pytest.raises(StoreBroken):
            await write(store, "lost")

    assert type(store.attempt([Append(ann, SendMessage(group, "next", "hello"))])) is StoreBroken
    with pytest.raises(StoreBroken):
        await write(store, "next")
