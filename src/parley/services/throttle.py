"""How often one may try: the windows of `limits`, over memory that is bounded and a clock that cannot be set back.

The library's own memory counts by the wall clock, so that a step back would lock people out for as long, and has no
bound under a flood of new keys.
"""

from collections import OrderedDict, deque

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import Storage
from limits.storage.base import MovingWindowSupport
from limits.strategies import MovingWindowRateLimiter

from parley.clock import Clock
from parley.protocol.errors import ChatError, Code

KEYS = 20_000
"""Addresses and names that are remembered; the one not heard of for longest is forgotten first."""


class SteadyMemory(Storage, MovingWindowSupport):
    """Moving windows in this process."""

    STORAGE_SCHEME = ["parley-memory"]  # noqa: RUF012 - the library declares it so

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._hits: OrderedDict[str, deque[float]] = OrderedDict()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now = self._clock.monotonic()
        hits = self._window(key, expiry, now)
        if len(hits) + amount > limit:
            return False
        hits.extend([now] * amount)
        self._hits[key] = hits
        self._hits.move_to_end(key)
        if len(self._hits) > KEYS:
            self._hits.popitem(last=False)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        now = self._clock.monotonic()
        hits = self._window(key, expiry, now)
        return (hits[0] if hits else now), len(hits)

    def _window(self, key: str, expiry: int, now: float) -> deque[float]:
        hits = self._hits.get(key) or deque()
        while hits and hits[0] <= now - expiry:
            hits.popleft()
        return hits

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError("only moving windows are kept")

    def get(self, key: str) -> int:
        return len(self._hits.get(key, ()))

    def get_expiry(self, key: str) -> float:
        return self._clock.monotonic()

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        count = len(self._hits)
        self._hits.clear()
        return count

    def clear(self, key: str) -> None:
        self._hits.pop(key, None)


class Throttle:
    """At most `a_minute` tries of each key in any minute."""

    def __init__(self, clock: Clock, a_minute: int) -> None:
        self._clock = clock
        self._item: RateLimitItem = RateLimitItemPerMinute(a_minute)
        self._limiter = MovingWindowRateLimiter(SteadyMemory(clock))

    def take(self, *key: str) -> None:
        """Count a try. Raises rate_limited when there were too many."""
        if not self._limiter.hit(self._item, *key):
            self._refuse(*key)

    def look(self, *key: str) -> None:
        """Raises rate_limited when there were too many, and counts nothing."""
        if not self._limiter.test(self._item, *key):
            self._refuse(*key)

    def forget(self, *key: str) -> None:
        """It was the right person after all."""
        self._limiter.clear(self._item, *key)

    def _refuse(self, *key: str) -> None:
        until = self._limiter.get_window_stats(self._item, *key).reset_time
        wait_ms = max(1, round((until - self._clock.monotonic()) * 1000))
        raise ChatError(Code.RATE_LIMITED, retry_after_ms=wait_ms)
