"""One-time tickets: how a browser opens a WebSocket without a long-lived token in the address."""

import hashlib
import secrets
from collections import OrderedDict

from parley.clock import Clock
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import SessionId

SECONDS = 30
AT_ONCE = 20_000
"""Tickets that wait to be used on the whole server; the next one is `busy`."""
A_SESSION = 20
"""Of one session; the next one takes the place of its oldest."""


class Tickets:
    """In memory, by hash, each good once, for thirty seconds, for the session it was given to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: OrderedDict[bytes, tuple[SessionId, float]] = OrderedDict()
        self._of_session: dict[SessionId, list[bytes]] = {}

    def issue(self, session_id: SessionId) -> str:
        self._sweep()
        mine = self._of_session.get(session_id, [])
        if len(mine) >= A_SESSION:
            self._drop(mine[0])
        if len(self._waiting) >= AT_ONCE:
            raise ChatError(Code.BUSY, retry_after_ms=SECONDS * 1000)
        ticket = secrets.token_urlsafe(24)
        name = _name(ticket)
        self._waiting[name] = (session_id, self._clock.monotonic() + SECONDS)
        self._of_session.setdefault(session_id, []).append(name)
        return ticket

    def redeem(self, ticket: str) -> SessionId:
        """The session it was issued to; from now on it is worth nothing. Raises unauthenticated."""
        self._sweep()
        name = _name(ticket)
        found = self._waiting.get(name)
        if found is None:
            raise ChatError(Code.UNAUTHENTICATED, "The ticket is not valid.")
        self._drop(name)
        return found[0]

    def _sweep(self) -> None:
        """All live equally long, so the oldest expires first."""
        now = self._clock.monotonic()
        while self._waiting:
            name, (_, until) = next(iter(self._waiting.items()))
            if until > now:
                return
            self._drop(name)

    def _drop(self, name: bytes) -> None:
        session_id, _ = self._waiting.pop(name)
        mine = self._of_session[session_id]
        mine.remove(name)
        if not mine:
            del self._of_session[session_id]


def _name(ticket: str) -> bytes:
    """Kept and looked up by hash, so that the time of a look-up tells nothing about a ticket."""
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).digest()
