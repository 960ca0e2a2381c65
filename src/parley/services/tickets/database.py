"""Tickets in the database, for nodes that share nothing else. Who deletes the row has redeemed it."""

from sqlalchemy import Connection

from parley.protocol.types import SessionId
from parley.services.tickets.interface import A_SESSION, AT_ONCE, SECONDS, name_of, new_ticket, not_valid, too_many
from parley.store.interface import Database
from parley.store.sql import tickets as sql


class DatabaseTickets:
    """`Tickets` of all nodes with one database. The bounds are kept but for what is issued at the same moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def issue(self, session_id: SessionId) -> str:
        ticket = new_ticket()
        name = name_of(ticket).hex()

        def change(connection: Connection) -> None:
            if sql.sweep(connection) >= AT_ONCE:
                raise too_many()
            sql.keep_newest(connection, session_id, A_SESSION - 1)
            sql.add(connection, name, session_id, SECONDS * 1000)

        await self._database.write(change)
        return ticket

    async def redeem(self, ticket: str) -> SessionId:
        name = name_of(ticket).hex()
        session_id = await self._database.write(lambda connection: sql.take(connection, name))
        if session_id is None:
            raise not_valid()
        return session_id
