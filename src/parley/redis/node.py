"""Everything this node has to do with Redis: one line to talk, one to listen, and a client for questions."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis

from parley.redis.connect import AWAY, QUESTION_S, questions
from parley.redis.listener import Listener
from parley.redis.metrics import RedisMetrics
from parley.redis.names import Names
from parley.redis.talker import Talker

T = TypeVar("T")

REST_S = 1.0
"""After a question without an answer, the next ones are not even asked for so long."""


class RedisAway(Exception):
    """Redis did not answer in time, or refused. What was asked of it may have been done."""


class RedisNode:
    """`start` before use: it waits for nothing, and Redis may be away then and later. `close` last of all, bounded."""

    def __init__(self, url: str, prefix: str, metrics: RedisMetrics) -> None:
        self.id = secrets.token_hex(8)
        """Of this process, new at every start."""
        self.names = Names(prefix)
        self.metrics = metrics
        self.talker = Talker(url, metrics)
        self.listener = Listener(url, metrics)
        # A silent talker would not notice that Redis has gone before its next pulse.
        self.listener.on_down.append(self.talker.try_now)
        self.client: Redis = questions(url)
        self._resting_until = 0.0
        metrics.up.set_function(lambda: float(self.up))

    @property
    def up(self) -> bool:
        """Spoken to and heard. False is not a reason to be not ready: everything works without, only slower."""
        return self.talker.up and self.listener.up

    def start(self) -> None:
        self.talker.start()
        self.listener.start()

    async def ask(self, what: str, question: Callable[[], Awaitable[T]]) -> T:
        """The answer to what somebody waits for, within `QUESTION_S`. Raises RedisAway, counted under `what`."""
        try:
            if not self.talker.up or time.monotonic() < self._resting_until:
                raise RedisAway
            async with asyncio.timeout(QUESTION_S):
                return await question()
        except (RedisAway, *AWAY) as error:
            if not isinstance(error, RedisAway):
                self._resting_until = time.monotonic() + REST_S
            self.metrics.fallbacks.labels(what).inc()
            raise RedisAway from error

    async def close(self) -> None:
        await self.talker.close()
        await self.listener.close()
        await self.client.aclose()
