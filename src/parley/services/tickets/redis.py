"""Tickets in Redis; while it is away, in another place that all nodes share."""

from parley.protocol.errors import ChatError, Code
from parley.protocol.types import SessionId
from parley.redis.node import RedisAway, RedisNode
from parley.services.tickets.interface import A_SESSION, SECONDS, Tickets, name_of, new_ticket, not_valid

ISSUE = """
-- KEYS: the ticket, the session's list.  ARGV: session, seconds, tickets a session, name in the list, prefix.
if not redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2], 'NX') then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[2])
while redis.call('LLEN', KEYS[2]) > tonumber(ARGV[3]) do
  redis.call('DEL', ARGV[5] .. redis.call('RPOP', KEYS[2]))
end
return 1
"""

HERE = "r"
"""What a ticket begins with that Redis keeps: it is redeemed where it was issued."""


class RedisTickets:
    """`Tickets` of all nodes with one Redis. `otherwise`: where they are issued while it is away."""

    def __init__(self, node: RedisNode, otherwise: Tickets) -> None:
        self._node = node
        self._otherwise = otherwise

    async def issue(self, session_id: SessionId) -> str:
        ticket = HERE + new_ticket()
        name, names = name_of(ticket), self._node.names
        keys = (names.ticket(name), names.tickets_of(session_id))
        values = (str(session_id), str(SECONDS), str(A_SESSION), name.hex(), names.ticket_prefix)
        try:
            await self._node.ask("tickets", lambda: self._node.client.eval(ISSUE, 2, *keys, *values))
        except RedisAway:
            return "o" + await self._otherwise.issue(session_id)
        return ticket

    async def redeem(self, ticket: str) -> SessionId:
        """Raises busy beside unauthenticated: Redis has gone away with the ticket."""
        if ticket.startswith("o"):
            return await self._otherwise.redeem(ticket[1:])
        if not ticket.startswith(HERE):
            raise not_valid()
        key = self._node.names.ticket(name_of(ticket))
        try:
            session_id = await self._node.ask("tickets", lambda: self._node.client.getdel(key))
        except RedisAway:
            raise ChatError(Code.BUSY, "The ticket cannot be looked up just now.", 1000) from None
        if session_id is None:
            raise not_valid()
        return SessionId(int(session_id))
