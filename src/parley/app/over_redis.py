"""Redis between nodes. Imported only where it is asked for: its client is a fifth of a start."""

from parley.clock import Clock
from parley.fanout.redis import RedisFanOut
from parley.gateway.hub import Hub
from parley.gateway.lingering import Lingering
from parley.observability import Metrics
from parley.presence.redis import RedisPresence
from parley.redis.metrics import RedisMetrics
from parley.redis.node import RedisNode
from parley.services.throttle.redis import RedisThrottles
from parley.services.tickets.interface import Tickets
from parley.services.tickets.redis import RedisTickets
from parley.settings import Settings


class OverRedis:
    """Every node hears at once what concerns somebody who is connected to it."""

    def __init__(self, settings: Settings, otherwise: Tickets, hub: Hub, clock: Clock, metrics: Metrics) -> None:
        """`otherwise`: where tickets lie while Redis is away."""
        self.node = RedisNode(settings.redis.url, settings.redis.prefix, RedisMetrics(metrics.registry))
        self.fanout = RedisFanOut(hub, self.node)
        self.ears = Lingering(self.fanout)
        self.presence = RedisPresence(self.node, clock)
        self.tickets = RedisTickets(self.node, otherwise=otherwise)
        self.throttles = RedisThrottles(self.node, clock)

    @property
    def degraded(self) -> str | None:
        if self.node.up:
            return None
        return "Redis does not answer: other nodes hear of what happens here within two seconds, not at once"

    async def start(self) -> None:
        self.node.start()
        await self.presence.start()

    async def close(self) -> None:
        self.ears.close()
        await self.fanout.close()
        await self.presence.close()
        await self.node.close()
