"""What this node hears from Redis: sharded channels on one connection of their own.

The library would subscribe again by itself after a break and tell nobody of what was published meanwhile. So this
keeps its own connection: each one begins with all channels that are wanted, and ends with a break that is told.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection
from itertools import islice
from typing import Any

import structlog
from redis.asyncio import Connection
from redis.exceptions import ConnectionError as ConnectionLost

from parley.redis.connect import packed
from parley.redis.line import Line
from parley.redis.metrics import RedisMetrics

log = structlog.get_logger()

AT_ONCE = 500
"""Channels a command: Redis does nothing else while it works on one."""
PULSE_S = 2.0
SILENCE_S = 5.0
"""A line that did not even answer a ping for so long is dead."""

FENCE = b"fence"
PULSE = b"pulse"

Hears = Callable[[bytes, bytes], None]
"""(channel, payload), on the event loop."""
Listening = Callable[[Collection[bytes] | None], None]


class Listener(Line):
    """`join` and `leave` cost nothing to call; what changed in one turn goes to Redis together.

    Each group of new channels is followed by a PING. Redis answers in order, so its answer says that all of them are
    heard from now on; `on_listening` gets them then, or None for the first group of a connection: everything.
    """

    which = "listener"

    def __init__(
        self, url: str, metrics: RedisMetrics, *, pulse_s: float = PULSE_S, silence_s: float = SILENCE_S
    ) -> None:
        super().__init__(url, metrics)
        self._pulse_s = pulse_s
        self._silence_s = silence_s
        self._wanted: dict[bytes, Hears] = {}
        self._sent: set[bytes] = set()
        self._changed: dict[bytes, None] = {}
        self._fences: deque[list[bytes] | None] = deque()
        self._wake = asyncio.Event()
        self._heard_at = 0.0
        self.on_listening: list[Listening] = []

    def join(self, channel: bytes, hears: Hears) -> None:
        self._wanted[channel] = hears
        self._note(channel)

    def leave(self, channel: bytes) -> None:
        if self._wanted.pop(channel, None) is not None:
            self._note(channel)

    def _note(self, channel: bytes) -> None:
        if self._sending:
            self._changed[channel] = None
            self._wake.set()

    _sending = False
    """Without a connection there is nothing to note: the next one begins with all that is wanted."""

    async def _use(self, connection: Connection) -> None:
        self._sent.clear()
        self._fences.clear()
        self._changed = dict.fromkeys(self._wanted)
        self._sending = True
        self._heard_at = time.monotonic()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._read(connection))
                both.create_task(self._write(connection))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    def _broke(self) -> None:
        self._sending = False
        self._changed = {}

    # Writing

    async def _write(self, connection: Connection) -> None:
        await self._send_changes(connection, first=True)
        while True:
            if not self._changed:
                await self._pause(connection)
            await self._send_changes(connection)

    async def _pause(self, connection: Connection) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(self._pulse_s):
                await self._wake.wait()
        except TimeoutError:
            silent = time.monotonic() - self._heard_at
            if silent > self._silence_s:
                raise ConnectionLost(f"nothing was heard for {silent:.0f} s") from None
            await _send(connection, packed("PING", PULSE))

    async def _send_changes(self, connection: Connection, first: bool = False) -> None:
        """What is wanted now and was not, and the other way round: who came and went within a turn is no change."""
        changed, self._changed = self._changed, {}
        joins = [channel for channel in changed if channel in self._wanted and channel not in self._sent]
        leaves = [channel for channel in changed if channel not in self._wanted and channel in self._sent]
        self._sent.update(joins)
        self._sent.difference_update(leaves)
        for name, channels in (("SUNSUBSCRIBE", leaves), ("SSUBSCRIBE", joins)):
            rest = iter(channels)
            while group := list(islice(rest, AT_ONCE)):
                await _send(connection, packed(name, *group))
        if joins or first:
            self._fences.append(None if first else joins)
            await _send(connection, packed("PING", FENCE))

    # Reading

    async def _read(self, connection: Connection) -> None:
        while True:
            answer = await connection.read_response(timeout=float("inf"), disconnect_on_error=False)
            self._heard_at = time.monotonic()
            if isinstance(answer, list) and answer[0] == b"smessage":
                self._pass_on(answer[1], answer[2])
            elif _pong(answer) == FENCE:
                self._passed(self._fences.popleft())

    def _pass_on(self, channel: bytes, payload: bytes) -> None:
        hears = self._wanted.get(channel)
        if hears is None:
            return
        try:
            hears(channel, payload)
        except Exception:
            # One message must not cost the line; the store heals what it said.
            self._metrics.dropped.labels("failed").inc()
            log.exception("redis_message_failed")

    def _passed(self, joined: list[bytes] | None) -> None:
        if joined is None:
            self._stands()
        else:
            joined = [channel for channel in joined if channel in self._wanted]
        for told in self.on_listening:
            try:
                told(joined)
            except Exception:
                log.exception("redis_listening_not_heard")


def _pong(answer: Any) -> Any:
    """The payload of a PING's answer: it has another shape while there are subscriptions."""
    return answer[1] if isinstance(answer, list) and answer[0] == b"pong" else answer


async def _send(connection: Connection, command: bytes) -> None:
    await connection.send_packed_command(command, check_health=False)
