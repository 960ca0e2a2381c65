"""How many may ask over HTTP at once. Nobody waits in a line there: who finds no place is told to come again."""

import contextlib
from collections import Counter
from collections.abc import Iterator

from parley.protocol.errors import ChatError, Code
from parley.protocol.types import UserId

AGAIN_MS = 2_000


class Places:
    def __init__(self, total: int, per_user: int) -> None:
        self._total = total
        self._per_user = per_user
        self._users: Counter[UserId] = Counter()

    @contextlib.contextmanager
    def taken(self, user: UserId) -> Iterator[None]:
        """Raises ChatError(assistant_busy)."""
        if self._users.total() >= self._total or self._users[user] >= self._per_user:
            raise ChatError(Code.ASSISTANT_BUSY, retry_after_ms=AGAIN_MS)
        self._users[user] += 1
        try:
            yield
        finally:
            self._users[user] -= 1
            if not self._users[user]:
                del self._users[user]
