"""Wall time that does not jump while the server runs."""

from parley.clock import Clock


class SteadyTime:
    """What the wall clock said when the server started, plus what the monotonic clock has counted since.

    Tokens and sessions expire by it: somebody who sets the machine's clock ten years on must not log everybody out.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begin_ms = clock.now_ms()
        self._begin = clock.monotonic()

    def now_ms(self) -> int:
        return self._begin_ms + round((self._clock.monotonic() - self._begin) * 1000)

    def monotonic(self) -> float:
        return self._clock.monotonic()
