"""Bots: accounts of programs, which come in by tokens. A token is shown once and kept as a hash."""

from collections.abc import Sequence

from sqlalchemy import Connection

from parley.clock import Clock
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ServerRole, SessionId, UserId
from parley.services import policy
from parley.services.sessions import Client, Sessions
from parley.services.tokens import bot_secret
from parley.settings import Settings
from parley.store.interface import Database
from parley.store.sql import accounts as sql_accounts
from parley.store.sql import bots as sql
from parley.store.sql.accounts import SessionView
from parley.store.sql.bots import BotRow

FOR_EVER_MS = 100 * 365 * 86_400_000
"""A bot's token is good until it is revoked."""
TOKENS = 20
"""Of one bot."""


class Bots:
    """The service. Raises ChatError; whose bot it is not is told that there is none."""

    def __init__(self, settings: Settings, database: Database, clock: Clock, sessions: Sessions) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._sessions = sessions

    async def create(self, actor: Actor, username: str, display_name: str | None, client: Client) -> tuple[BotRow, str]:
        """A bot of the actor's, and its first token. Raises forbidden, bad_payload, username_taken, limit_reached."""
        bots = self._settings.bots
        if actor.guest or (bots.create == "admin" and not actor.admin):
            raise ChatError(Code.FORBIDDEN, "Only administrators make bots here.")
        name = policy.check_username(username, [self._settings.assistant.name])
        shown = policy.check_display_name(name if display_name is None else display_name)
        new = self._sessions.draft("bot", client, FOR_EVER_MS)
        token, kept = bot_secret(new.id)
        at = self._clock.now_ms()

        def change(connection: Connection) -> BotRow:
            maker = sql_accounts.user(connection, actor.user_id)
            if maker is None or maker.role in (ServerRole.BOT, ServerRole.WEBHOOK):
                raise ChatError(Code.FORBIDDEN, "A bot makes no bots.")
            if sql.count_bots(connection, actor.user_id) >= bots.per_owner:
                raise ChatError(Code.LIMIT_REACHED, f"At most {bots.per_owner} bots of one owner.")
            user = sql_accounts.add_user(
                connection, username=name, key=policy.username_key(name), display_name=shown, password_hash=None,
                role=ServerRole.BOT, now_ms=at,
            )  # fmt: skip
            if user is None:
                raise ChatError(Code.USERNAME_TAKEN)
            sql.add_bot(connection, user.id, actor.user_id, at)
            self._sessions.insert(connection, new, user.id, secret=kept)
            return BotRow(user, actor.user_id)

        return await self._database.write(change), token

    async def listed(self, actor: Actor, after: int, limit: int, *, everybodys: bool = False) -> Sequence[BotRow]:
        if everybodys and not actor.admin:
            raise ChatError(Code.FORBIDDEN)
        owner = None if everybodys else actor.user_id
        return await self._database.read(lambda connection: sql.bots_of(connection, owner, after, limit))

    def _own(self, connection: Connection, actor: Actor, bot_id: UserId) -> BotRow:
        """Its owner's, and administrators'."""
        found = sql.bot(connection, bot_id)
        if found is None or (found.owner_id != actor.user_id and not actor.admin):
            raise ChatError(Code.UNKNOWN_USER, "You have no such bot.")
        return found

    async def issue(self, actor: Actor, bot_id: UserId, client: Client) -> tuple[SessionId, str]:
        """One more token. Raises unknown_user, limit_reached."""
        new = self._sessions.draft("bot", client, FOR_EVER_MS)
        token, kept = bot_secret(new.id)
        now = self._clock.now_ms()

        def change(connection: Connection) -> None:
            self._own(connection, actor, bot_id)
            if len(sql_accounts.sessions_of(connection, bot_id, now, 0, TOKENS)) >= TOKENS:
                raise ChatError(Code.LIMIT_REACHED, f"At most {TOKENS} tokens of one bot.")
            self._sessions.insert(connection, new, bot_id, secret=kept)

        await self._database.write(change)
        return new.id, token

    async def tokens(self, actor: Actor, bot_id: UserId) -> list[SessionView]:
        """When each was made and used; never the token itself."""
        now = self._clock.now_ms()

        def question(connection: Connection) -> list[SessionView]:
            self._own(connection, actor, bot_id)
            return sql_accounts.sessions_of(connection, bot_id, now, 0, TOKENS)

        return await self._database.read(question)

    async def revoke(self, actor: Actor, bot_id: UserId, token_id: SessionId) -> None:
        """Its sockets close at once. Raises unknown_user, not_found."""
        await self._database.read(lambda connection: self._own(connection, actor, bot_id))
        if not await self._sessions.end(token_id, bot_id):
            raise ChatError(Code.NOT_FOUND, "There is no such token.")

    async def remove(self, actor: Actor, bot_id: UserId) -> None:
        """It never comes in again. What it said stays."""
        at = self._clock.now_ms()

        def change(connection: Connection) -> list[SessionId]:
            self._own(connection, actor, bot_id)
            ended = sql_accounts.revoke_all(connection, bot_id, None, at)
            sql.remove_bot(connection, bot_id, at)
            return ended

        self._sessions.announce(await self._database.write(change), bot_id)
