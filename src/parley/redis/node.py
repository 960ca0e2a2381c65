"""Everything this node has to do with Redis: one line to talk, one to listen, and a client for questions."""

import secrets

from redis.asyncio import Redis

from parley.redis.connect import questions
from parley.redis.listener import Listener
from parley.redis.metrics import RedisMetrics
from parley.redis.names import Names
from parley.redis.talker import Talker


class RedisNode:
    """`start` before use: it waits for nothing, and Redis may be away then and later. `close` last of all, bounded."""

    def __init__(self, url: str, prefix: str, metrics: RedisMetrics) -> None:
        self.id = secrets.token_hex(8)
        """Of this process, new at every start."""
        self.names = Names(prefix)
        self.metrics = metrics
        self.talker = Talker(url, metrics)
        self.listener = Listener(url, metrics)
        self.client: Redis = questions(url)
        metrics.up.set_function(lambda: float(self.up))

    @property
    def up(self) -> bool:
        """Spoken to and heard. False is not a reason to be not ready: everything works without, only slower."""
        return self.talker.up and self.listener.up

    def start(self) -> None:
        self.talker.start()
        self.listener.start()

    async def close(self) -> None:
        await self.talker.close()
        await self.listener.close()
        await self.client.aclose()
