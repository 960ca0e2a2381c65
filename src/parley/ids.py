"""Snowflakes: 41 bits of milliseconds since 2024, 10 of node, 12 of count. Unique and roughly by time; order comes
only from `seq`."""

from parley.clock import Clock

EPOCH_MS = 1_704_067_200_000
NODES = 1024


class Snowflakes:
    """Makes ids for one node. When the clock steps back it goes on from the last millisecond it used, so no id repeats.

    Not thread-safe: one instance belongs to one thread.
    """

    def __init__(self, clock: Clock, node: int = 0, after: int = 0) -> None:
        """`after`: the highest id already stored; new ones are above it even if the clock was set back over a
        restart."""
        if not 0 <= node < NODES:
            raise ValueError(f"node must be 0..{NODES - 1}, not {node}")
        self._clock = clock
        self._node = node << 12
        self._ms = after >> 22
        self._count = 0xFFF if after else -1

    def next(self) -> int:
        now = self._clock.now_ms() - EPOCH_MS
        if now > self._ms:
            self._ms = now
            self._count = 0
        elif self._count < 0xFFF:
            self._count += 1
        else:
            self._ms += 1
            self._count = 0
        return (self._ms << 22) | self._node | self._count
