"""What nodes have between them beside the store: Redis, or nothing."""

from typing import Protocol

import structlog

from parley.app.stores import Store
from parley.clock import Clock
from parley.fanout.interface import Ears, FanOut
from parley.fanout.memory import MemoryFanOut
from parley.gateway.hub import Hub
from parley.observability import Metrics
from parley.presence.interface import Presence
from parley.presence.memory import MemoryPresence
from parley.services.throttle.interface import Throttles
from parley.services.throttle.memory import MemoryThrottles
from parley.services.tickets.database import DatabaseTickets
from parley.services.tickets.interface import Tickets
from parley.services.tickets.memory import MemoryTickets
from parley.settings import Settings

log = structlog.get_logger()


class Between(Protocol):
    """`start` before use; `close` when nobody says anything any more. Losing it costs time, never a message."""

    @property
    def fanout(self) -> FanOut: ...
    @property
    def presence(self) -> Presence: ...
    @property
    def ears(self) -> Ears | None:
        """Who wants to be told which conversations are heard here; None where all that is said is heard anyway."""

    @property
    def tickets(self) -> Tickets: ...
    @property
    def throttles(self) -> Throttles: ...

    @property
    def degraded(self) -> str | None:
        """What is slower or missing just now, and why; None while all is well."""

    async def start(self) -> None: ...
    async def close(self) -> None: ...


class Nothing:
    """One process, or nodes that compare with the store every two seconds what they have told their clients."""

    degraded = None
    ears = None

    def __init__(self, store: Store, hub: Hub, clock: Clock) -> None:
        self.fanout = MemoryFanOut(hub)
        self.presence = MemoryPresence(clock)
        self.tickets = tickets_of(store, clock)
        self.throttles = MemoryThrottles(clock)

    async def start(self) -> None:
        await self.presence.start()

    async def close(self) -> None:
        await self.fanout.close()
        await self.presence.close()


def tickets_of(store: Store, clock: Clock) -> Tickets:
    """Where tickets lie without Redis: another node must be able to take one that was given here."""
    return DatabaseTickets(store.database) if store.shared else MemoryTickets(clock)


def open_between(settings: Settings, store: Store, hub: Hub, clock: Clock, metrics: Metrics) -> Between:
    """By `[redis] url`."""
    if settings.redis.url:
        if not store.shared:
            log.warning("redis_without_company", hint="an SQLite file has one server: Redis brings it nothing")
        from parley.app.over_redis import OverRedis  # noqa: PLC0415 - a server without Redis starts faster

        return OverRedis(settings, tickets_of(store, clock), hub, clock, metrics)
    return Nothing(store, hub, clock)
