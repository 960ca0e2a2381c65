"""One-time tickets: the same laws wherever they are kept."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import Connection, Engine, update
from tests.fanout.nodes import TestNode, node

from parley.clock import SystemClock
from parley.protocol.errors import ChatError, Code, ErrorSpec
from parley.protocol.types import SessionId
from parley.services.tickets.database import DatabaseTickets
from parley.services.tickets.interface import A_SESSION, Tickets
from parley.services.tickets.memory import MemoryTickets
from parley.services.tickets.redis import RedisTickets
from parley.store.cluster_tables import tickets as table
from parley.store.migrate import upgrade
from parley.store.shared import Shared
from parley.store.sqlite import reader_engine, writer_engine
from parley.store.threads import SqlDatabase
from parley.testing.clock import FakeClock

MINE, YOURS = SessionId(2**60 + 1), SessionId(2)


class Kept:
    """Two nodes' tickets, and how to let thirty seconds pass."""

    def __init__(self, one: Tickets, other: Tickets) -> None:
        self.one, self.other = one, other

    async def expire(self) -> None:
        raise NotImplementedError


@contextmanager
def database(folder: Path) -> Iterator[tuple[SqlDatabase, Engine]]:
    engine = writer_engine(folder / "parley.db")
    upgrade(engine, now_ms=1)
    opened = SqlDatabase(engine, reader_engine(folder / "parley.db", 2), 2)
    opened.start()
    try:
        yield opened, engine
    finally:
        opened.stop()
        engine.dispose()


@contextmanager
def shared(url: str) -> Iterator[SqlDatabase]:
    store = Shared(url, SystemClock(), checked=False)
    store.start()
    try:
        yield store.database
    finally:
        store.close()


class InMemory(Kept):
    def __init__(self) -> None:
        self.clock = FakeClock()
        only = MemoryTickets(self.clock)
        super().__init__(only, only)

    async def expire(self) -> None:
        self.clock.advance(31)


class InRedis(Kept):
    def __init__(self, one: TestNode, other: TestNode, url: str) -> None:
        super().__init__(
            RedisTickets(one.redis, MemoryTickets(FakeClock())), RedisTickets(other.redis, MemoryTickets(FakeClock()))
        )
        self.url = url
        self.prefix = one.redis.names.ticket_prefix

    async def expire(self) -> None:
        async with Redis.from_url(self.url) as client:
            keys = [key async for key in client.scan_iter(f"{self.prefix}*")]
            for key in keys:
                assert 0 < await client.ttl(key) <= 30
                await client.pexpire(key, 1)
            while await client.exists(*keys):
                pass


class InDatabase(Kept):
    def __init__(self, opened: SqlDatabase) -> None:
        super().__init__(DatabaseTickets(opened), DatabaseTickets(opened))
        self.database = opened

    async def expire(self) -> None:
        def age(connection: Connection) -> None:
            connection.execute(update(table).values(until=table.c.until - 30_000))

        await self.database.write(age)


@pytest.fixture(params=["memory", "redis", "sqlite"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield InMemory()
        elif request.param == "sqlite":
            yield InDatabase(stack.enter_context(database(tmp_path))[0])
        else:
            url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_prefix")
            one = await stack.enter_async_context(node(url, prefix))
            yield InRedis(one, await stack.enter_async_context(node(url, prefix)), url)


async def redeemed(tickets: Tickets, ticket: str) -> SessionId | ErrorSpec:
    try:
        return await tickets.redeem(ticket)
    except ChatError as error:
        return error.spec


async def test_it_is_good_once_on_any_node(kept: Kept) -> None:
    ticket = await kept.one.issue(MINE)

    assert await redeemed(kept.other, ticket) == MINE
    for tickets in (kept.one, kept.other):
        assert await redeemed(tickets, ticket) == Code.UNAUTHENTICATED


async def test_of_twenty_at_once_exactly_one_wins(kept: Kept) -> None:
    for _ in range(10):
        ticket = await kept.one.issue(MINE)

        answers = await asyncio.gather(*(redeemed(kept.one if at % 2 else kept.other, ticket) for at in range(20)))

        assert Counter(answers) == {MINE: 1, Code.UNAUTHENTICATED: 19}


async def test_it_belongs_to_its_session(kept: Kept) -> None:
    mine, yours = await kept.one.issue(MINE), await kept.other.issue(YOURS)

    assert mine != yours
    assert await redeemed(kept.one, yours) == YOURS
    assert await redeemed(kept.other, mine) == MINE


async def test_it_ends_after_thirty_seconds(kept: Kept) -> None:
    ticket = await kept.one.issue(MINE)
    await kept.expire()

    assert await redeemed(kept.other, ticket) == Code.UNAUTHENTICATED
    assert await redeemed(kept.one, await kept.one.issue(MINE)) == MINE


async def test_what_was_never_issued_is_not_valid(kept: Kept) -> None:
    mine = await kept.one.issue(MINE)

    for ticket in (
        "",
        "r",
        "o",
        "x",
        "\ud800",
        "r\ud800",
        "o\0",
        "r*",
        "é" * 5000,
        mine[:-1],
        f"{mine}=",
        mine.upper(),
    ):
        assert await redeemed(kept.one, ticket) == Code.UNAUTHENTICATED, ticket


async def test_one_session_has_so_many_and_the_oldest_goes_first(kept: Kept) -> None:
    tickets = [await kept.one.issue(MINE) for _ in range(A_SESSION)]
    yours = await kept.one.issue(YOURS)
    tickets.append(await kept.other.issue(MINE))

    assert await redeemed(kept.one, yours) == YOURS
    answers = [await redeemed(kept.one, ticket) for ticket in tickets]
    assert Counter(answers) == {MINE: A_SESSION, Code.UNAUTHENTICATED: 1}


LAWS = (
    test_it_is_good_once_on_any_node,
    test_of_twenty_at_once_exactly_one_wins,
    test_it_belongs_to_its_session,
    test_it_ends_after_thirty_seconds,
    test_what_was_never_issued_is_not_valid,
    test_one_session_has_so_many_and_the_oldest_goes_first,
)


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
async def test_shared_databases_keep_the_same_laws(engine: str, request: pytest.FixtureRequest) -> None:
    """In one database, law after law: making one takes longer than all of them."""
    with shared(request.getfixturevalue(f"migrated_{engine}_url")) as opened:
        for law in LAWS:
            kept = InDatabase(opened)
            await law(kept)
            await kept.expire()


@pytest.mark.parametrize("where", ["memory", "database"])
async def test_the_server_has_so_many(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"parley.services.tickets.{where}.AT_ONCE", 3)
    with database(tmp_path) as (opened, _):
        tickets: Tickets = MemoryTickets(FakeClock()) if where == "memory" else DatabaseTickets(opened)
        for session in range(3):
            await tickets.issue(SessionId(session))

        with pytest.raises(ChatError) as refusal:
            await tickets.issue(MINE)

        assert refusal.value.spec == Code.BUSY


async def test_nothing_of_a_ticket_lies_in_redis(redis_url: str, redis_prefix: str) -> None:
    """Whoever reads Redis cannot come in with what they read."""
    async with node(redis_url, redis_prefix) as one:
        ticket = await RedisTickets(one.redis, MemoryTickets(FakeClock())).issue(MINE)
        async with Redis.from_url(redis_url) as client:
            keys = [key async for key in client.scan_iter("*")]

    assert keys
    assert all(ticket.encode() not in key for key in keys)


async def test_without_redis_they_are_kept_elsewhere_and_nobody_waits(redis_url: str, redis_prefix: str) -> None:
    """Each is redeemed where it was issued, also when Redis is back; what Redis took away with it is `busy`."""
    shared = MemoryTickets(FakeClock())
    async with node(redis_url, redis_prefix) as one:
        tickets = RedisTickets(one.redis, shared)
        before = await tickets.issue(MINE)
        one.redis.talker.up = False
        meanwhile = await tickets.issue(YOURS)

        assert await redeemed(tickets, before) == Code.BUSY
        one.redis.talker.up = True
        assert await redeemed(tickets, meanwhile) == YOURS
        assert await redeemed(tickets, before) == MINE
        assert one.figure("parley_redis_fallbacks_total", what="tickets") == 2
