"""What this node says to Redis: all that gathered while the last answers were awaited goes as one pipeline.

Nobody waits for it. An idle line sends one message at once; a busy one sends many in one write, with no timer.
"""

import asyncio
from typing import Any

import structlog
from redis.asyncio import Connection
from redis.exceptions import ResponseError

from parley.redis.connect import NO_HOME, Word, packed
from parley.redis.line import Line
from parley.redis.metrics import RedisMetrics

log = structlog.get_logger()

COMMANDS = 20_000
BYTES = 16 * 1024 * 1024
"""What may wait to be sent. One more is dropped and counted."""
ANSWER_S = 2.0
"""A pipeline without all its answers after this: the line is given up."""
PULSE_S = 2.0
"""A silent line is tried this often, so that a dead one is found before there is something to say."""
CLOSING_S = 1.0

PING = packed("PING")


class Talker(Line):
    """Commands whose answers nobody needs. At most once, in the order said."""

    which = "talker"

    def __init__(self, url: str, metrics: RedisMetrics, *, answer_s: float = ANSWER_S) -> None:
        super().__init__(url, metrics)
        self._answer_s = answer_s
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._under_way = 0
        self._pausing: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.lost = 0
        """How many commands were not surely done, since the start."""

    def say(self, *words: Word) -> bool:
        """Whether it will be tried. Never waits, never raises for a loss."""
        if not self.up:
            return self._drop("away")
        command = packed(*words)
        if len(self._waiting) >= COMMANDS or self._bytes + len(command) > BYTES:
            return self._drop("full")
        self._waiting.append(command)
        self._bytes += len(command)
        self._idle.clear()
        self.try_now()
        return True

    def try_now(self) -> None:
        """There is reason to think that it is broken: find out before the next pulse."""
        pausing, self._pausing = self._pausing, None
        if pausing is not None and not pausing.done():
            pausing.set_result(None)

    def _drop(self, why: str, count: int = 1) -> bool:
        self.lost += count
        self._metrics.dropped.labels(why).inc(count)
        return False

    async def close(self) -> None:
        """Sends what waits, for a second at most."""
        if self.up:
            try:
                async with asyncio.timeout(CLOSING_S):
                    await self._idle.wait()
            except TimeoutError:
                log.warning("redis_not_told", commands=len(self._waiting) + self._under_way)
        await super().close()

    async def _use(self, connection: Connection) -> None:
        await self._exchange(connection, [PING])
        self._stands()
        while True:
            if not self._waiting:
                await self._pause()
            batch, self._waiting, self._bytes = self._waiting or [PING], [], 0
            await self._exchange(connection, batch)
            if not self._waiting:
                self._idle.set()

    async def _pause(self) -> None:
        """Until there is something to say, or the line is to be tried."""
        loop = asyncio.get_running_loop()
        # A future and a timer: this is on the way of every message, and `asyncio.timeout` costs three times as much.
        pausing = self._pausing = loop.create_future()
        pulse = loop.call_later(PULSE_S, self.try_now)
        try:
            await pausing
        finally:
            pulse.cancel()

    async def _exchange(self, connection: Connection, batch: list[bytes]) -> None:
        self._under_way = len(batch)
        async with asyncio.timeout(self._answer_s):
            await connection.send_packed_command(b"".join(batch), check_health=False)
            while self._under_way:
                await self._read(connection)
                self._under_way -= 1

    async def _read(self, connection: Connection) -> Any:
        try:
            return await connection.read_response(timeout=float("inf"))
        except NO_HOME:
            raise
        except ResponseError as error:
            self._drop("refused")
            log.error("redis_refused", error=str(error))
            return None

    def _broke(self) -> None:
        lost = self._under_way + len(self._waiting)
        self._waiting, self._bytes, self._under_way = [], 0, 0
        self._idle.set()
        if lost:
            self._drop("broken", lost)
