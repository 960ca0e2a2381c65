"""Redis killed, restarted, emptied, cut and stopped: nobody waits, nothing grows, and every break is told."""

import os
import signal
from collections.abc import AsyncIterator

import pytest
from tests.fanout.nodes import TestNode, entry, node

from parley.protocol.events import Signal
from parley.protocol.types import ConversationId, UserId
from parley.redis import connect, talker
from parley.testing.engines import EngineMissing, RedisServer

ROOM = ConversationId(7)
ANN = UserId(1)


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    try:
        private = RedisServer()
    except EngineMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    async with private:
        yield private


@pytest.fixture
async def two(server: RedisServer) -> AsyncIterator[tuple[TestNode, TestNode]]:
    async with node(server.url, "p") as one, node(server.url, "p") as other:
        for each in (one, other):
            each.fanout.hear(ROOM)
            each.fanout.hear_user(ANN)
            await each.hearing.listens_to(ROOM)
        yield one, other


async def passes(one: TestNode, other: TestNode, seq: int) -> None:
    """What is said now is heard."""
    one.fanout.publish([entry(seq)])
    await other.hearing.hears("entries", entry(seq))


async def test_after_a_kill_it_is_heard_again_and_the_break_is_told(
    server: RedisServer, two: tuple[TestNode, TestNode]
) -> None:
    one, other = two
    await passes(one, other, 1)
    other.hearing.listens.clear()

    server.kill()
    await one.lost_touch()
    await other.lost_touch()
    assert not one.fanout.reaches_others
    one.fanout.publish([entry(2)])
    assert one.hearing.entries()[-1] == entry(2), "its own hear it all the same"
    other.fanout.hear(ConversationId(8))
    other.fanout.unhear_user(ANN)
    await server.started()
    await one.stands()
    await other.stands()

    assert other.hearing.listens == [None]
    await passes(one, other, 3)
    assert entry(2) not in other.hearing.entries(), "lost, and told as a break"
    one.fanout.publish([entry(1, 8)])
    await other.hearing.hears("entries", entry(1, 8))
    assert one.figure("parley_redis_dropped_total", why="away") >= 1


async def test_a_cut_subscription_is_told_as_a_break(server: RedisServer, two: tuple[TestNode, TestNode]) -> None:
    """The library alone would subscribe again and say nothing."""
    one, other = two
    other.hearing.listens.clear()

    with server.connect() as client:
        assert client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 2

    await other.hearing.until(lambda: None in other.hearing.listens)
    await passes(one, other, 1)
    assert other.figure("parley_redis_breaks_total", which="listener") == 1
    assert other.figure("parley_redis_breaks_total", which="talker") == 0


async def test_a_cut_line_of_the_speaker_costs_a_hint(server: RedisServer, two: tuple[TestNode, TestNode]) -> None:
    one, other = two

    with server.connect() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    one.redis.talker.try_now()
    await one.until(lambda: one.figure("parley_redis_breaks_total", which="talker") == 1)
    await one.stands()

    await passes(one, other, 1)


async def test_emptying_redis_takes_nothing_from_the_fan_out(
    server: RedisServer, two: tuple[TestNode, TestNode]
) -> None:
    one, other = two

    with server.connect() as client:
        client.flushall()

    await passes(one, other, 1)


async def test_a_redis_that_stands_still_blocks_nobody_and_fills_nothing(
    server: RedisServer, two: tuple[TestNode, TestNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is bounded, by number and by bytes; then it is away until it moves again."""
    one, other = two
    monkeypatch.setattr(talker, "COMMANDS", 100)
    one.redis.talker._answer_s = 0.2
    os.kill(server.pid, signal.SIGSTOP)
    try:
        for seq in range(1, 1001):
            one.fanout.publish([entry(seq)])
        assert one.figure("parley_redis_dropped_total", why="full") >= 800
        assert len(one.hearing.entries()) == 1000
        await one.until(lambda: not one.fanout.reaches_others)
        assert one.redis.talker._waiting == []
        assert len(one.fanout._listener._changed) == 0
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await one.stands()
    await other.stands()
    await passes(one, other, 2000)


async def test_large_messages_are_bounded_by_bytes(
    server: RedisServer, two: tuple[TestNode, TestNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    monkeypatch.setattr(talker, "BYTES", 100_000)

    for seq in range(1, 21):
        one.fanout.publish([entry(seq, body=b"x" * 10_000)])
    one.fanout.tell_user(ANN, Signal("end", {}))
    await other.hearing.hears("user", ANN, Signal("end", {}))

    assert 5 <= len(other.hearing.entries()) <= 10
    assert one.figure("parley_redis_dropped_total", why="full") >= 10


async def test_a_node_starts_and_ends_without_redis(server: RedisServer) -> None:
    """It waits for nothing, and is heard when Redis comes."""
    server.kill()
    async with node(server.url, "p", wait=False) as one, node(server.url, "p", wait=False) as other:
        other.fanout.hear(ROOM)
        one.fanout.publish([entry(1)])
        assert one.hearing.entries() == [entry(1)]
        await server.started()
        await one.stands()
        await other.stands()
        await passes(one, other, 2)
    async with node(server.url, "p", wait=False):
        server.kill()


async def test_what_was_said_last_is_sent_before_the_end(server: RedisServer, two: tuple[TestNode, TestNode]) -> None:
    _, other = two
    async with node(server.url, "p") as brief:
        for seq in range(1, 201):
            brief.fanout.publish([entry(seq)])

    await other.hearing.hears("entries", entry(200))


async def test_a_refusal_is_counted_and_the_line_stays(server: RedisServer, two: tuple[TestNode, TestNode]) -> None:
    """Such as no memory left: then and there, and not for ever after."""
    one, other = two

    one.redis.talker.say("NONSENSE", "x")
    await passes(one, other, 1)

    assert one.figure("parley_redis_dropped_total", why="refused") == 1
    assert one.figure("parley_redis_breaks_total", which="talker") == 0


def test_pauses_grow_to_their_bound_and_are_never_alike() -> None:
    pauses = connect.Pauses(rand=lambda: 1.0)
    assert [pauses.next() for _ in range(8)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    pauses.reset()
    assert pauses.next() == 0.05
    assert connect.Pauses(rand=lambda: 0.0).next() == 0.025


async def test_a_question_that_is_not_answered_is_given_up(server: RedisServer) -> None:
    """And the next ones are not asked for a while: nobody queues for a dead Redis."""
    from parley.redis.node import RedisAway

    async with node(server.url, "p") as one:
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(RedisAway):
                await one.redis.ask("test", one.redis.client.ping)
            for _ in range(1000):
                with pytest.raises(RedisAway):
                    await one.redis.ask("test", one.redis.client.ping)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert one.figure("parley_redis_fallbacks_total", what="test") == 1001
