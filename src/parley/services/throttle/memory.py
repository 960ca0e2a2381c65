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
from parley.protocol.errors import ChatError
from parley.services.throttle.interface import too_often

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


class MemoryThrottle:
    """`Throttle` of one process."""

    def __init__(self, clock: Clock, a_minute: int) -> None:
        self._clock = clock
        self._item: RateLimitItem = RateLimitItemPerMinute(a_minute)
        self._limiter = MovingWindowRateLimiter(SteadyMemory(clock))

    async def take(self, *key: str) -> None:
        if not self._limiter.hit(self._item, *key):
            raise self._refusal(*key)

    async def look(self, *key: str) -> None:
        if not self._limiter.test(self._item, *key):
            raise self._refusal(*key)

    async def forget(self, *key: str) -> None:
        self._limiter.clear(self._item, *key)

    def _refusal(self, *key: str) -> ChatError:
        until = self._limiter.get_window_stats(self._item, *key).reset_time
        return too_often(until - self._clock.monotonic())


class MemoryThrottles:
    """`Throttles` of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, what: str, a_minute: int) -> MemoryThrottle:
        return MemoryThrottle(self._clock, a_minute)
