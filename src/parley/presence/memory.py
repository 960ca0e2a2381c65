"""Presence of one process. How long someone has been away is kept for the most recent only."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from parley.clock import Clock
from parley.presence.interface import Seen
from parley.protocol.types import UserId

REMEMBERED = 100_000
NEVER = Seen(False)
ONLINE = Seen(True)


class MemoryPresence:
    """`Presence` where one process sees all."""

    def __init__(self, clock: Clock) -> None:
        self.on_change: Callable[[UserId, Seen], None] | None = None
        self._clock = clock
        self._online: set[UserId] = set()
        self._away: OrderedDict[UserId, Seen] = OrderedDict()

    def came(self, user: UserId) -> None:
        self._online.add(user)
        self._away.pop(user, None)
        self._tell(user, ONLINE)

    def went(self, user: UserId) -> None:
        if user not in self._online:
            return
        self._online.discard(user)
        seen = self._away[user] = Seen(False, self._clock.now_ms())
        if len(self._away) > REMEMBERED:
            self._away.popitem(last=False)
        self._tell(user, seen)

    def _tell(self, user: UserId, seen: Seen) -> None:
        if self.on_change is not None:
            self.on_change(user, seen)

    async def seen(self, users: Iterable[UserId]) -> Mapping[UserId, Seen]:
        return {user: ONLINE if user in self._online else self._away.get(user, NEVER) for user in users}

    async def start(self) -> None:
        """There is nothing to begin."""

    async def close(self) -> None:
        """Nothing is held."""
