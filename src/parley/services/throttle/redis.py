"""How often one may try, counted over all nodes: the sliding windows of `limits`, which go by Redis's own clock.

(Its moving windows are exact, but go by each node's wall clock.) Without Redis each node counts for itself, anew: a
guesser gains one more minute's tries a node, and nobody is locked out.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from parley.clock import Clock
from parley.protocol.errors import ChatError
from parley.redis.node import RedisAway, RedisNode
from parley.services.throttle.interface import too_often
from parley.services.throttle.memory import MemoryThrottle

T = TypeVar("T")


class RedisThrottles:
    """`Throttles` of all nodes with one Redis."""

    def __init__(self, node: RedisNode, clock: Clock) -> None:
        self._node = node
        self._clock = clock
        # The address is not used: the pool knows its own.
        storage = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix=node.names.tries_prefix,
            connection_pool=node.client.connection_pool,  # type: ignore[arg-type]  # typed as an option of the url
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    def __call__(self, what: str, a_minute: int) -> "RedisThrottle":
        return RedisThrottle(self._node, self._limiter, what, a_minute, MemoryThrottle(self._clock, a_minute))


class RedisThrottle:
    """`Throttle` over Redis, or while it is away over this process's memory."""

    def __init__(
        self,
        node: RedisNode,
        limiter: SlidingWindowCounterRateLimiter,
        what: str,
        a_minute: int,
        alone: MemoryThrottle,
    ) -> None:
        self._node = node
        self._limiter = limiter
        self._what = what
        self._item = RateLimitItemPerMinute(a_minute)
        self._alone = alone

    async def take(self, *key: str) -> None:
        name = self._name(key)
        try:
            if not await self._ask(lambda: self._limiter.hit(self._item, *name)):
                raise await self._refusal(name)
        except RedisAway:
            await self._alone.take(*key)

    async def look(self, *key: str) -> None:
        name = self._name(key)
        try:
            if not await self._ask(lambda: self._limiter.test(self._item, *name)):
                raise await self._refusal(name)
        except RedisAway:
            await self._alone.look(*key)

    async def forget(self, *key: str) -> None:
        name = self._name(key)
        await self._alone.forget(*key)
        try:
            await self._ask(lambda: self._limiter.clear(self._item, *name))
        except RedisAway:
            pass  # it is forgotten by itself within two minutes

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        return await self._node.ask("throttle", question)

    async def _refusal(self, name: tuple[str, str]) -> ChatError:
        stats = await self._ask(lambda: self._limiter.get_window_stats(self._item, *name))
        # The library adds the rest of the window to this process's clock; taken off again, the clock does not matter.
        # For a window that has just begun it says nought.
        return too_often(max(1.0, stats.reset_time - time.time()))

    def _name(self, key: tuple[str, ...]) -> tuple[str, str]:
        """Addresses and user names do not lie about in Redis."""
        return self._what, hashlib.sha256("\0".join(key).encode("utf-8", "surrogatepass")).hexdigest()[:32]
