"""How many accounts are in the lobby, without counting them for everybody who connects."""

from sqlalchemy import Connection, func, select

from parley.clock import Clock
from parley.store.sql.conversations import count_accounts
from parley.store.tables import users

KEPT_S = 1.0
"""How long a deactivated account may still be counted. A new one is counted at once."""

_NEWEST = select(func.max(users.c.id))


class LobbySize:
    """Ask on any thread: two that count at once get the same number."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: tuple[int | None, float, int] = (None, 0.0, 0)

    def __call__(self, connection: Connection) -> int:
        newest, until, count = self._known
        now = self._clock.monotonic()
        # The highest id is one step down the table; ten thousand clients that come back at once count only once.
        latest = connection.execute(_NEWEST).scalar()
        if latest != newest or now >= until:
            count = count_accounts(connection)
            self._known = (latest, now + KEPT_S, count)
        return count
