"""How much one connection may ask, and how many connections there may be."""

from collections import Counter
from typing import Any

from parley.gateway.connection import Connection
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import UserId

BAD_FRAMES = 20
"""Malformed frames in a row before the connection is ended."""


class Bucket:
    """A token bucket per connection, kept in the connection's own slots: `rate` a second, `burst` at once."""

    __slots__ = ("_burst", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        """`rate` 0: no limit."""
        self._rate = rate
        self._burst = max(burst, 1.0)

    def take(self, connection: Connection, now: float, cost: float = 1.0) -> float:
        """0.0: go on. Otherwise how many seconds until the next one is taken, if nothing is sent before: a refused one
        costs as much, down to one burst below none. Whoever has one token left may spend more than that."""
        if not self._rate:
            return 0.0
        tokens = connection.tokens
        if connection.tokens_at:
            tokens = min(self._burst, tokens + (now - connection.tokens_at) * self._rate)
        else:
            tokens = self._burst
        connection.tokens_at = now
        left = connection.tokens = max(tokens - cost, -self._burst)
        return 0.0 if tokens >= 1.0 else (1.0 - left) / self._rate

    def charge(self, connection: Connection, cost: float) -> None:
        """For what turned out to be dear after it was taken."""
        if self._rate:
            connection.tokens = max(connection.tokens - cost, -self._burst)

    def exhausted(self, connection: Connection) -> bool:
        """Has gone on for a whole burst after the first refusal: stop reading from it for a while."""
        return bool(self._rate) and connection.tokens <= 1.0 - self._burst


class Places:
    """Bounds on connections: in all, per user, per address. 0 means no bound; loopback addresses are not counted."""

    def __init__(self, total: int, per_user: int, per_address: int) -> None:
        self._total = total
        self._per_user = per_user
        self._per_address = per_address
        self._taken = 0
        self._users: Counter[UserId] = Counter()
        self._addresses: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        return self._taken

    def check(self, user: UserId, address: str | None) -> None:
        """Raises ChatError(too_many_connections) if there is no place. `address` None: not counted."""
        if self._total and self._taken >= self._total:
            raise ChatError(Code.TOO_MANY_CONNECTIONS, "The server has as many connections as it takes.", 5_000)
        if self._per_user and self._users[user] >= self._per_user:
            raise ChatError(Code.TOO_MANY_CONNECTIONS, "You have as many connections as one user may have.", 5_000)
        if address is not None and self._per_address and self._addresses[address] >= self._per_address:
            raise ChatError(Code.TOO_MANY_CONNECTIONS, "Your address has as many connections as one may have.", 5_000)

    def take(self, user: UserId, address: str | None) -> None:
        """`check`, and take the place."""
        self.check(user, address)
        self._taken += 1
        self._users[user] += 1
        if address is not None:
            self._addresses[address] += 1

    def free(self, user: UserId, address: str | None) -> None:
        self._taken -= 1
        _decrease(self._users, user)
        if address is not None:
            _decrease(self._addresses, address)


def _decrease(counter: Counter[Any], key: Any) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
