"""How often one may try: alone, and counted over two nodes."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable

import pytest
from redis.asyncio import Redis
from tests.fanout.nodes import node

from parley.protocol.errors import ChatError, Code
from parley.services.throttle.interface import Throttles
from parley.services.throttle.memory import MemoryThrottles
from parley.services.throttle.redis import RedisThrottles
from parley.testing.clock import FakeClock
from parley.testing.engines import EngineMissing, RedisServer


@pytest.fixture(params=["memory", "redis"])
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Throttles, Throttles]]:
    """Two nodes' (in one process: the same), with a wall clock that is wrong on one."""
    clock = FakeClock()
    if request.param == "memory":
        only = MemoryThrottles(clock)
        throttle = only("login", 5)

        def same(what: str, a_minute: int) -> object:
            return throttle

        yield same, same  # type: ignore[misc]
        return
    url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_prefix")
    async with node(url, prefix) as one, node(url, prefix) as other:
        yield RedisThrottles(one.redis, clock), RedisThrottles(other.redis, clock)


async def refused(question: Awaitable[None]) -> int | None:
    """After how many ms to come again; None: it may be tried."""
    try:
        await question
    except ChatError as error:
        return error.retry_after_ms if error.spec is Code.RATE_LIMITED else -1
    return None


async def test_so_many_a_minute_over_all_nodes(nodes: tuple[Throttles, Throttles]) -> None:
    one, other = (throttles("login", 5) for throttles in nodes)
    for throttle in (one, other, one, other, one):
        assert await refused(throttle.take("10.0.0.1", "ann")) is None

    for throttle in (one, other):
        for question in (throttle.take, throttle.look):
            wait = await refused(question("10.0.0.1", "ann"))
            assert wait is not None
            assert 0 < wait <= 60_000
    assert await refused(other.take("10.0.0.1", "bob")) is None


async def test_looking_counts_nothing(nodes: tuple[Throttles, Throttles]) -> None:
    one, other = (throttles("login", 5) for throttles in nodes)
    for _ in range(20):
        assert await refused(one.look("a")) is None
    for _ in range(5):
        assert await refused(other.take("a")) is None

    assert await refused(one.look("a")) is not None


async def test_the_right_person_begins_anew(nodes: tuple[Throttles, Throttles]) -> None:
    one, other = (throttles("login", 5) for throttles in nodes)
    for _ in range(5):
        await one.take("a")
    await other.forget("a")

    for _ in range(5):
        assert await refused(one.take("a")) is None


async def test_one_limit_is_not_anothers(redis_url: str, redis_prefix: str) -> None:
    async with node(redis_url, redis_prefix) as one:
        throttles = RedisThrottles(one.redis, FakeClock())
        await throttles("login", 1).take("a")

        assert await refused(throttles("replacement", 1).take("a")) is None
        assert await refused(throttles("login", 1).take("a")) is not None


async def test_a_minute_later_it_is_forgotten() -> None:
    clock = FakeClock()
    throttle = MemoryThrottles(clock)("login", 2)
    for _ in range(2):
        await throttle.take("a")
    assert await refused(throttle.take("a")) == 60_000
    clock.jump(-3600)
    clock.advance(60)

    assert await refused(throttle.take("a")) is None


async def test_redis_holds_no_address_and_no_name_and_nothing_for_ever(redis_url: str, redis_prefix: str) -> None:
    async with node(redis_url, redis_prefix) as one:
        await RedisThrottles(one.redis, FakeClock())("login", 5).take("10.0.0.1", "ann")
        async with Redis.from_url(redis_url) as client:
            keys = [key async for key in client.scan_iter("*")]
            assert len(keys) == 1
            assert keys[0].startswith(redis_prefix.encode())
            assert b"ann" not in keys[0]
            assert b"10.0.0.1" not in keys[0]
            assert 0 < await client.ttl(keys[0]) <= 120


async def test_without_redis_each_node_counts_for_itself() -> None:
    """Nobody is locked out, nobody waits, and the limit still holds."""
    try:
        server = RedisServer()
    except EngineMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    async with server, node(server.url, "p") as one:
        throttle = RedisThrottles(one.redis, FakeClock())("login", 3)
        for _ in range(3):
            await throttle.take("a")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                assert await refused(throttle.take("a")) is None
            assert await refused(throttle.take("a")) is not None
            assert await refused(throttle.look("a")) is not None
            await throttle.forget("a")
            assert await refused(throttle.look("a")) is None
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert one.figure("parley_redis_fallbacks_total", what="throttle") >= 6
