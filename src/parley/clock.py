"""Time, passed in. The wall clock says when; only the monotonic clock says how long; neither says in which order."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970 UTC. May step back."""

    def monotonic(self) -> float:
        """Seconds; for durations and deadlines. Never steps back."""


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


_known_second: tuple[int, str] = (-1, "")


def rfc3339(ms: int) -> str:
    """`2026-11-21T08:30:00.123Z`. The second's part is kept, because a batch's entries share it."""
    global _known_second
    second, milli = divmod(ms, 1000)
    # Taken once: another thread may put another second there meanwhile.
    known = _known_second
    if known[0] != second:
        known = _known_second = (second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    return f"{known[1]}.{milli:03d}Z"
