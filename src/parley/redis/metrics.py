"""Figures about Redis. No label names a user or a room."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class RedisMetrics:
    """Of one node, each bound once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.up = Gauge("parley_redis_up", "1 while Redis is spoken to and heard", registry=registry)
        self.published = Counter("parley_redis_published_total", "Messages sent to other nodes", registry=registry)
        self.received = Counter("parley_redis_received_total", "Messages heard from other nodes", registry=registry)
        self.dropped = Counter(
            "parley_redis_dropped_total",
            "Messages lost between nodes; the store heals them",
            ["why"],
            registry=registry,
        )
        self.breaks = Counter(
            "parley_redis_breaks_total", "Connections to Redis that were lost", ["which"], registry=registry
        )
        self.fallbacks = Counter(
            "parley_redis_fallbacks_total", "Questions answered without Redis", ["what"], registry=registry
        )
