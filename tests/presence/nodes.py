"""Nodes that keep presence over Redis, and what each was told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fanout.nodes import Waiting, node

from parley.clock import SystemClock
from parley.presence.interface import Presence, Seen
from parley.presence.redis import RedisPresence
from parley.protocol.types import UserId
from parley.redis.node import RedisNode

BEAT_S = 0.1
DEAD_AFTER_S = 1.0
ANN, BOB = UserId(1), UserId(2)
CLOCK = SystemClock()


class Watched(Waiting):
    """A presence, and the changes it told in their order."""

    def __init__(self, presence: Presence) -> None:
        super().__init__()
        self.presence = presence
        self.changes: list[tuple[UserId, bool]] = []
        self.seen: dict[UserId, Seen] = {}
        presence.on_change = self._on_change

    def _on_change(self, user: UserId, seen: Seen) -> None:
        self.changes.append((user, seen.online))
        self.seen[user] = seen
        self.changed()

    async def tells(self, *changes: tuple[UserId, bool]) -> None:
        """These, in this order, and no others so far."""
        await self.until(lambda: len(self.changes) >= len(changes))
        assert self.changes == list(changes)

    async def shows(self, user: UserId, *, online: bool) -> None:
        await self.until(lambda: user in self.seen and self.seen[user].online is online)


class Present(Watched):
    """One of them, over Redis. `die` is what kill -9 does to it: it says nothing more."""

    def __init__(self, redis: RedisNode, presence: RedisPresence) -> None:
        super().__init__(presence)
        self.redis = redis
        self.over = presence
        redis.talker.on_up.append(self.changed)
        redis.talker.on_down.append(self.changed)

    async def until_looked(self) -> None:
        """Knows all who are online, and hears of changes."""
        self.redis.listener.on_listening.append(self.changed)
        await self.until(lambda: self.redis.names.presence.encode() in self.redis.listener._sent)

    async def alone(self) -> None:
        """Has noticed that Redis is away."""
        await self.until(lambda: not self.redis.talker.up)

    async def die(self) -> None:
        assert self.over._beating is not None
        self.over._beating.cancel()
        self.redis.talker.up = False
        await self.redis.talker.close()
        await self.redis.listener.close()


@asynccontextmanager
async def present(url: str, prefix: str, beat_s: float = BEAT_S) -> AsyncIterator[Present]:
    async with node(url, prefix) as one:
        presence = RedisPresence(one.redis, CLOCK, beat_s=beat_s, dead_after_s=DEAD_AFTER_S)
        here = Present(one.redis, presence)
        await presence.start()
        try:
            await here.until_looked()
            yield here
        finally:
            await presence.close()
