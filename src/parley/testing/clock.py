"""Time that a test moves by hand."""

from __future__ import annotations


class FakeClock:
    """A `parley.clock.Clock`: the wall clock may jump anywhere, the monotonic one only goes on."""

    def __init__(self, now_ms: int = 1_800_000_000_000, monotonic: float = 1000.0) -> None:
        self._now_ms = now_ms
        self._monotonic = monotonic

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass, on both clocks."""
        if seconds < 0:
            raise ValueError("time does not run backwards; `jump` sets the wall clock")
        self._monotonic += seconds
        self._now_ms += round(seconds * 1000)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forwards or backwards, as an administrator or a time server does."""
        self._now_ms += round(seconds * 1000)
