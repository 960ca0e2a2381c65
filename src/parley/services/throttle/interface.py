"""How often one may try."""

from typing import Protocol

from parley.protocol.errors import ChatError, Code


class Throttle(Protocol):
    """At most so many tries of each key in a minute. Raises rate_limited, with the time to wait."""

    async def take(self, *key: str) -> None:
        """Count a try, unless there were too many."""

    async def look(self, *key: str) -> None:
        """Count nothing."""

    async def forget(self, *key: str) -> None:
        """It was the right person after all."""


class Throttles(Protocol):
    """Makes them. `what` keeps the counts of one limit from another's."""

    def __call__(self, what: str, a_minute: int) -> Throttle: ...


def too_often(wait_s: float) -> ChatError:
    return ChatError(Code.RATE_LIMITED, retry_after_ms=max(1, round(wait_s * 1000)))
