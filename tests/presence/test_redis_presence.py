"""Presence of several nodes, and of nodes that die, are cut off, and come back."""

import itertools
import os
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from tests.presence.nodes import ANN, BOB, Present, present

from parley.presence.interface import Seen
from parley.protocol.types import UserId
from parley.redis.names import Names
from parley.testing.engines import EngineMissing, RedisServer

STRANGERS = itertools.count(1_000_000)


@pytest.fixture
async def three(redis_url: str, redis_prefix: str) -> AsyncIterator[tuple[Present, Present, Present]]:
    async with (
        present(redis_url, redis_prefix) as one,
        present(redis_url, redis_prefix) as two,
        present(redis_url, redis_prefix) as three,
    ):
        yield one, two, three


async def settled(*nodes: Present) -> None:
    """All have heard of what was said before."""
    for node in nodes:
        stranger = UserId(next(STRANGERS))
        node.presence.came(stranger)
        for each in nodes:
            await each.shows(stranger, online=True)


def told_of(node: Present, user: UserId) -> list[bool]:
    return [online for who, online in node.changes if who == user]


async def test_somebody_with_two_nodes_goes_with_the_last(three: tuple[Present, Present, Present]) -> None:
    one, two, _ = three
    one.presence.came(ANN)
    await two.shows(ANN, online=True)
    two.presence.came(ANN)
    await settled(*three)
    one.presence.went(ANN)
    await settled(*three)
    assert [told_of(node, ANN) for node in three] == [[True]] * 3

    two.presence.went(ANN)

    for node in three:
        await node.shows(ANN, online=False)
        assert told_of(node, ANN) == [True, False]


async def test_two_that_go_at_the_same_moment_are_told_once(three: tuple[Present, Present, Present]) -> None:
    """Exactly one of them was the last."""
    one, two, _ = three
    for number in range(1, 101):
        one.presence.came(UserId(number))
        two.presence.came(UserId(number))
    await settled(*three)

    for number in range(1, 101):
        one.presence.went(UserId(number))
        two.presence.went(UserId(number))
    await settled(*three)

    for node in three:
        for number in range(1, 101):
            assert told_of(node, UserId(number)) == [True, False]


async def test_a_node_that_comes_later_knows_who_is_there(
    three: tuple[Present, Present, Present], redis_url: str, redis_prefix: str
) -> None:
    three[0].presence.came(ANN)
    await settled(*three)

    async with present(redis_url, redis_prefix) as late:
        await late.shows(ANN, online=True)
        assert (await late.presence.seen([ANN]))[ANN] == Seen(True)


async def test_a_dead_nodes_users_go_and_are_told_once(three: tuple[Present, Present, Present]) -> None:
    """Not the one who is connected elsewhere too. More than one script's worth, by whichever nodes find them."""
    dead, two, other = three
    users = [UserId(number) for number in range(1, 1201)]
    for user in users:
        dead.presence.came(user)
    two.presence.came(ANN)
    await settled(*three)

    await dead.die()

    for node in (two, other):
        for user in users[1:]:
            await node.shows(user, online=False)
            assert told_of(node, user) == [True, False]
        assert told_of(node, ANN) == [True]
    last = (await other.presence.seen([BOB]))[BOB].last_seen
    assert last is not None
    assert last == two.seen[BOB].last_seen, "the time at which its node was last heard of"


async def test_a_dead_nodes_traces_are_gone(
    three: tuple[Present, Present, Present], redis_url: str, redis_prefix: str
) -> None:
    dead, two, _ = three
    dead.presence.came(ANN)
    await settled(*three)
    await dead.die()
    await two.shows(ANN, online=False)
    await settled(*three[1:])

    names = Names(redis_prefix)
    async with Redis.from_url(redis_url) as client:
        assert await client.exists(names.online(dead.redis.id)) == 0


async def test_a_node_that_was_taken_for_dead_brings_its_users_back(
    three: tuple[Present, Present, Present], redis_url: str, redis_prefix: str
) -> None:
    """It stood still, and the others buried it."""
    still, two, _ = three
    still.presence.came(ANN)
    await settled(*three)
    names = Names(redis_prefix)
    async with Redis.from_url(redis_url) as client:
        await client.zadd(names.nodes, {still.redis.id: 1})

    # Buried or not, by who beats first: either way she is online in the end, and Redis says so.
    async with Redis.from_url(redis_url) as client:
        while not (await client.zscore(names.nodes, still.redis.id) or 0) > 1:
            pass
        while not await client.sismember(names.online(still.redis.id), str(ANN)):
            pass
    await settled(*three)
    assert (await two.presence.seen([ANN]))[ANN].online


async def test_an_emptied_redis_is_filled_again(
    three: tuple[Present, Present, Present], redis_url: str, redis_prefix: str
) -> None:
    """With the next beat, and nobody is told of a change that was none."""
    one, two, _ = three
    one.presence.came(ANN)
    two.presence.came(BOB)
    await settled(*three)
    names = Names(redis_prefix)
    before = [list(node.changes) for node in three]
    async with Redis.from_url(redis_url) as client:
        await client.flushdb()
        while await client.zcard(names.nodes) != 3:
            pass
        while not await client.sismember(names.online(one.redis.id), str(ANN)):
            pass
        while not await client.sismember(names.online(two.redis.id), str(BOB)):
            pass

    one.presence.went(ANN)
    for number, node in enumerate(three):
        await node.shows(ANN, online=False)
        assert node.changes == [*before[number], (ANN, False)]


async def test_who_goes_while_redis_is_empty_is_gone_everywhere(
    three: tuple[Present, Present, Present], redis_url: str
) -> None:
    one, two, _ = three
    one.presence.came(ANN)
    await settled(*three)
    async with Redis.from_url(redis_url) as client:
        await client.flushdb()

    one.presence.went(ANN)

    await two.shows(ANN, online=False)
    assert told_of(two, ANN) == [True, False]


async def test_an_orderly_end_leaves_nothing(redis_url: str, redis_prefix: str) -> None:
    async with present(redis_url, redis_prefix) as stays:
        async with present(redis_url, redis_prefix) as goes:
            goes.presence.came(ANN)
            goes.presence.came(BOB)
            await stays.shows(BOB, online=True)
            goes.presence.went(BOB)
        # Ann's connection never closed: another node finds her, without waiting for a death.
        await stays.shows(BOB, online=False)
        await stays.shows(ANN, online=False)
    async with Redis.from_url(redis_url) as client:
        kept = [key async for key in client.scan_iter(f"{redis_prefix}:*")]
    assert sorted(kept) == sorted(f"{redis_prefix}:seen:{user}".encode() for user in (ANN, BOB))


async def test_times_of_going_are_not_kept_for_ever(redis_url: str, redis_prefix: str) -> None:
    async with present(redis_url, redis_prefix) as only:
        only.presence.came(ANN)
        only.presence.went(ANN)
        await only.shows(ANN, online=False)
        async with Redis.from_url(redis_url) as client:
            for key in [key async for key in client.scan_iter(f"{redis_prefix}:*")]:
                assert 0 < await client.ttl(key) <= 30 * 86_400, key


async def test_without_redis_each_knows_its_own_and_afterwards_all() -> None:
    """What was missed meanwhile is told when it is back, once."""
    try:
        server = RedisServer()
    except EngineMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    async with server, present(server.url, "p") as one, present(server.url, "p") as two:
        one.presence.came(ANN)
        one.presence.came(BOB)
        await settled(one, two)
        server.kill()
        for node in (one, two):
            await node.alone()

        one.presence.went(BOB)
        one.presence.came(UserId(3))
        two.presence.came(UserId(4))

        assert told_of(one, BOB) == [True, False]
        assert told_of(one, UserId(3)) == [True]
        assert told_of(two, BOB) == [True]
        assert (await two.presence.seen([ANN]))[ANN].online, "as it was"
        assert (await one.presence.seen([BOB]))[BOB].last_seen is not None, "by its own memory"

        await server.started()
        await two.shows(BOB, online=False)
        await two.shows(UserId(3), online=True)
        await one.shows(UserId(4), online=True)
        await settled(one, two)
        for node in (one, two):
            assert told_of(node, ANN) == [True]
            assert told_of(node, BOB) == [True, False]
            assert told_of(node, UserId(3)) == told_of(node, UserId(4)) == [True]
