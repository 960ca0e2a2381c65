"""A connection that is kept: made in the background, made again after a break, never in anybody's way."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

import structlog
from redis.asyncio import Connection

from parley.redis.connect import AWAY, Pauses, connected
from parley.redis.metrics import RedisMetrics

log = structlog.get_logger()


class Line(ABC):
    """`start` once, `close` once. `up` says whether it stands; `on_up` and `on_down` are told when that changes."""

    which = ""

    def __init__(self, url: str, metrics: RedisMetrics) -> None:
        self._url = url
        self._metrics = metrics
        self._keeping: asyncio.Task[None] | None = None
        self._closing = False
        self.up = False
        self.on_up: list[Callable[[], None]] = []
        self.on_down: list[Callable[[], None]] = []

    def start(self) -> None:
        self._keeping = asyncio.get_running_loop().create_task(self._keep(), name=f"redis-{self.which}")

    async def close(self) -> None:
        """Gives up what was not sent."""
        # Not by cancelling alone: in Python 3.11 `wait_for`, which the library uses, can swallow that.
        self._closing = True
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    @abstractmethod
    async def _use(self, connection: Connection) -> None:
        """Work with it until it breaks, which raises one of AWAY. Calls `_stands` when it is of use."""

    @abstractmethod
    def _broke(self) -> None:
        """What was under way is lost."""

    async def _keep(self) -> None:
        pauses = Pauses()
        quiet = False
        while not self._closing:
            try:
                await self._once(pauses)
            except AWAY as error:
                if not quiet:
                    log.warning("redis_away", which=self.which, error=f"{type(error).__name__}: {error}")
                quiet = not self.up
            except Exception:
                log.exception("redis_line_failed", which=self.which)
            self._falls()
            await asyncio.sleep(pauses.next())

    async def _once(self, pauses: Pauses) -> None:
        connection = await connected(self._url)
        try:
            self._pauses = pauses
            await self._use(connection)
        finally:
            await connection.disconnect(nowait=True)

    def _stands(self) -> None:
        self._pauses.reset()
        self.up = True
        log.info("redis_connected", which=self.which)
        _tell(self.on_up)

    def _falls(self) -> None:
        stood, self.up = self.up, False
        self._broke()
        if stood:
            self._metrics.breaks.labels(self.which).inc()
            _tell(self.on_down)


def _tell(listeners: list[Callable[[], None]]) -> None:
    for told in listeners:
        try:
            told()
        except Exception:
            log.exception("redis_state_not_heard")
