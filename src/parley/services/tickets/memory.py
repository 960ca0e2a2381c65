"""Tickets of one process."""

from collections import OrderedDict

from parley.clock import Clock
from parley.protocol.types import SessionId
from parley.services.tickets.interface import A_SESSION, AT_ONCE, SECONDS, name_of, new_ticket, not_valid, too_many


class MemoryTickets:
    """`Tickets` where one process issues and redeems them all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: OrderedDict[bytes, tuple[SessionId, float]] = OrderedDict()
        self._of_session: dict[SessionId, list[bytes]] = {}

    async def issue(self, session_id: SessionId) -> str:
        self._sweep()
        mine = self._of_session.get(session_id, [])
        if len(mine) >= A_SESSION:
            self._drop(mine[0])
        if len(self._waiting) >= AT_ONCE:
            raise too_many()
        ticket = new_ticket()
        name = name_of(ticket)
        self._waiting[name] = (session_id, self._clock.monotonic() + SECONDS)
        self._of_session.setdefault(session_id, []).append(name)
        return ticket

    async def redeem(self, ticket: str) -> SessionId:
        self._sweep()
        name = name_of(ticket)
        found = self._waiting.get(name)
        if found is None:
            raise not_valid()
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
