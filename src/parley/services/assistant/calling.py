"""Asking the provider: tried again while nothing has come yet, and not at all for a while when it keeps failing."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import structlog

from parley.assistant.interface import AGAIN, Ending, Failed, Failure, Line, Piece, Provider
from parley.clock import Clock
from parley.services.assistant.figures import Figures

log = structlog.stdlib.get_logger("parley.assistant")

TRIES = 3
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 20.0
"""Who is told to wait for longer is told no instead."""
TRIPS = 5
"""Failures in a row after which it is not asked for a while."""
OPEN_S = 30.0


class Breaker:
    """Closed: everybody passes. Open: nobody. After a while one may try; how that ends decides for all."""

    def __init__(self, clock: Clock, trips: int = TRIPS, open_s: float = OPEN_S) -> None:
        self._clock = clock
        self._trips = trips
        self._open_s = open_s
        self._failures = 0
        self._until = 0.0

    def check(self) -> None:
        """Raises Failed(open)."""
        if self._failures < self._trips:
            return
        if self._clock.monotonic() < self._until:
            raise Failed(Failure.OPEN)
        # This one tries; the others wait for what becomes of it.
        self._until = self._clock.monotonic() + self._open_s

    def went_well(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        self._until = self._clock.monotonic() + self._open_s


class Calling:
    """One provider's."""

    def __init__(
        self,
        provider: Provider,
        breaker: Breaker,
        figures: Figures,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._provider = provider
        self._breaker = breaker
        self._figures = figures
        self._sleep = sleep

    async def answer(self, lines: Sequence[Line]) -> AsyncGenerator[Piece | Ending]:
        """Raises Failed, after at most `TRIES` tries, and after a piece has come at once."""
        for number in range(1, TRIES + 1):
            self._breaker.check()
            begun = False
            try:
                async with contextlib.aclosing(self._provider.answer(lines)) as parts:
                    async for part in parts:
                        begun = True
                        yield part
            except Failed as failed:
                pause = self._pause(failed, number)
                self._count(failed)
                if begun or pause is None:
                    raise
                await self._sleep(pause)
            else:
                self._breaker.went_well()
                return

    def _count(self, failed: Failed) -> None:
        self._figures.failures.labels(failed.kind.value).inc()
        log.warning("assistant_failed", kind=failed.kind.value, status=failed.status)
        if failed.kind is not Failure.BAD_REQUEST:
            # That one was this question's own fault.
            self._breaker.failed()

    def _pause(self, failed: Failed, number: int) -> float | None:
        """Full jitter, never shorter than the provider asked for; None: do not try again."""
        if failed.kind not in AGAIN or number == TRIES:
            return None
        asked = failed.retry_after_s or 0.0
        pause = asked + random.uniform(0, FIRST_PAUSE_S * 2 ** (number - 1))
        return pause if pause <= LONGEST_PAUSE_S else None

    async def close(self) -> None:
        await self._provider.close()
