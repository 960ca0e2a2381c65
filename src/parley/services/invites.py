"""Invites: codes that let somebody in while registration is not open. Only their hashes are kept."""

import hashlib
import secrets
from collections.abc import Sequence

from sqlalchemy import Connection

from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.services.steady import SteadyTime
from parley.store.interface import Database
from parley.store.sql import accounts as sql
from parley.store.sql.accounts import InviteRow

HOUR_MS = 3_600_000
MOST_USES = 10_000
MOST_HOURS = 24 * 365


def code_hash(code: str) -> str:
    return hashlib.sha256(code.strip().encode()).hexdigest()


class Invites:
    """For administrators; every method raises forbidden for others."""

    def __init__(self, database: Database, time: SteadyTime) -> None:
        self._database = database
        self._time = time

    async def make(self, actor: Actor, uses: int = 1, hours: int = 168) -> tuple[InviteRow, str]:
        """The invite, and its code, which nobody can show again."""
        _administrators_only(actor)
        code = secrets.token_urlsafe(12)
        now = self._time.now_ms()

        def change(connection: Connection) -> InviteRow:
            return sql.add_invite(
                connection,
                code_hash=code_hash(code),
                created_by=actor.user_id,
                uses=uses,
                now_ms=now,
                expires_at=now + hours * HOUR_MS,
            )

        return await self._database.write(change), code

    async def listed(self, actor: Actor, after: int, limit: int) -> Sequence[InviteRow]:
        _administrators_only(actor)
        return await self._database.read(lambda connection: sql.list_invites(connection, after, limit))

    async def remove(self, actor: Actor, invite_id: int) -> None:
        _administrators_only(actor)
        if not await self._database.write(lambda connection: sql.remove_invite(connection, invite_id)):
            raise ChatError(Code.NOT_FOUND)


def _administrators_only(actor: Actor) -> None:
    if not actor.admin:
        raise ChatError(Code.FORBIDDEN)
