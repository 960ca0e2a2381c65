"""What one node knows of who is online anywhere. Turns what it is told, be it twice or late, into changes told once."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator

import structlog

from parley.presence.interface import Seen
from parley.protocol.types import UserId

log = structlog.get_logger()

REMEMBERED = 100_000
NEVER = Seen(False)
ONLINE = Seen(True)


class View:
    """One entry for each user online; of those who went, the most recent only."""

    def __init__(self, tell: Callable[[UserId, Seen], None]) -> None:
        self._tell = tell
        self._online: set[UserId] = set()
        self._away: OrderedDict[UserId, Seen] = OrderedDict()

    def __contains__(self, user: UserId) -> bool:
        return user in self._online

    def __iter__(self) -> Iterator[UserId]:
        return iter(self._online)

    def last_seen(self, user: UserId) -> Seen:
        return self._away.get(user, NEVER)

    def came(self, user: UserId) -> None:
        if user not in self._online:
            self._online.add(user)
            self._away.pop(user, None)
            self._change(user, ONLINE)

    def went(self, user: UserId, at: int | None) -> None:
        """`at`: ms since 1970; None: not known."""
        if user not in self._online:
            return
        self._online.discard(user)
        seen = Seen(False, at)
        if at is not None:
            self._away[user] = seen
            if len(self._away) > REMEMBERED:
                self._away.popitem(last=False)
        self._change(user, seen)

    def becomes(self, online: Collection[UserId], except_for: Collection[UserId], *, final: bool) -> None:
        """All who are online, by a look at everything; who changed during the look is known better already. Only with
        `final` have those gone who are not there."""
        if final:
            for user in [user for user in self._online if user not in online and user not in except_for]:
                self.went(user, None)
        for user in online:
            if user not in except_for:
                self.came(user)

    def _change(self, user: UserId, seen: Seen) -> None:
        try:
            self._tell(user, seen)
        except Exception:
            log.exception("presence_change_not_heard")
