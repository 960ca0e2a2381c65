"""One timing wheel for all connections: a slot a tick, and one timer that turns it. No timer and no Task per
connection."""

import asyncio
import math

from parley.gateway.connection import Connection
from parley.gateway.framing import PING, PING_FRAME, frame
from parley.protocol.errors import Close


class Wheel:
    """Pings a connection that was idle for `ping_s`, drops one that was silent for `silence_s`.

    A connection is looked at when it could be due, not when it speaks: hearing a frame only notes the time. The
    wheel's tick is a second, or a quarter of `ping_s` where that is shorter.
    """

    def __init__(self, ping_s: float, silence_s: float) -> None:
        self.now = 0
        """Ticks since the start. Connections note it in `heard`."""
        self._tick = min(1.0, ping_s / 4)
        self._ping = math.ceil(ping_s / self._tick)
        self._silence = math.ceil(silence_s / self._tick)
        self._slots: list[list[Connection]] = [[] for _ in range(self._silence + 2)]
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()

    def start(self) -> None:
        self._timer = self._loop.call_later(self._tick, self._turn)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def add(self, connection: Connection) -> None:
        connection.heard = self.now
        self._put(connection, self._ping)

    def _put(self, connection: Connection, ticks: int) -> None:
        self._slots[(self.now + max(1, ticks)) % len(self._slots)].append(connection)

    def _turn(self) -> None:
        """Catch up to the clock: after a stall every slot is still looked at, once."""
        target = int((self._loop.time() - self._started) / self._tick)
        for _ in range(min(target - self.now, len(self._slots))):
            self.now += 1
            self._look(self.now % len(self._slots))
        self.now = max(self.now, target)
        self._timer = self._loop.call_at(self._started + (self.now + 1) * self._tick, self._turn)

    def _look(self, slot: int) -> None:
        due, self._slots[slot] = self._slots[slot], []
        for connection in due:
            if connection.closing:
                continue
            idle = self.now - connection.heard
            if idle >= self._silence:
                connection.close(Close.HEARTBEAT_MISSED, f"silent for {round(idle * self._tick)} s")
            elif connection.legacy is not None:
                # Each pong tells what has arrived, so these are asked even while they speak.
                connection.push(frame(connection.legacy.manners.ping_payload(connection), PING))
                self._put(connection, min(self._ping, self._silence - idle))
            elif idle >= self._ping:
                connection.push(PING_FRAME)
                self._put(connection, min(self._ping, self._silence - idle))
            else:
                self._put(connection, self._ping - idle)
