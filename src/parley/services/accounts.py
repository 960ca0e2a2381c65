"""Accounts: who may come in, and as whom. The routes and the gateway call this; everything it uses stands beside it."""

import hmac
import secrets
from collections.abc import Collection
from typing import Literal

import msgspec
from sqlalchemy import Connection

from parley.clock import Clock
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ServerRole, SessionId, UserId
from parley.services import policy
from parley.services.invites import Invites, code_hash
from parley.services.passwords import Passwords
from parley.services.sessions import Client, Ended, Identity, NewSession, Sessions, identity_of
from parley.services.steady import SteadyTime
from parley.services.throttle.interface import Throttles
from parley.services.throttle.memory import MemoryThrottles
from parley.services.tickets.interface import SECONDS as TICKET_SECONDS
from parley.services.tickets.interface import Tickets
from parley.services.tickets.memory import MemoryTickets
from parley.services.tokens import BOT, AccessTokens, SessionMacs
from parley.settings import Settings
from parley.store.interface import Database
from parley.store.sql import accounts as sql
from parley.store.sql.accounts import LoginRow, UserRow

LOGINS_A_MINUTE = 10
"""Of one name from one address; a right password begins the count anew."""
FAILURES_A_MINUTE = 100
"""From one address, over all names."""
REGISTRATIONS_A_MINUTE = 20
"""From one address; this machine's own are not counted."""
CODE_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

__all__ = ["Accounts", "Client", "Identity", "Login", "Registration"]


class Registration(msgspec.Struct, frozen=True):
    """Ask for an account."""

    username: str
    password: str
    display_name: str | None = None
    invite: str | None = None
    setup_code: str | None = None


class Login(msgspec.Struct, frozen=True):
    """The answer to a login. With a cookie there are no tokens: a page cannot lose what it never had."""

    user: UserRow
    expires_in: int
    access_token: str | None = None
    refresh_token: str | None = None
    cookie: str | None = None


class Accounts:
    """`start` before use, `close` at the end. Everything raises ChatError, or StoreUnavailable."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Clock,
        key: bytes,
        passwords: Passwords | None = None,
        node: int = 0,
        tickets: Tickets | None = None,
        throttles: Throttles | None = None,
    ) -> None:
        """`key`: `tokens.signing_key(settings.signing_key_path, make=…)`; `node`: of the snowflakes. Tickets and
        throttles are this process's own where none are given."""
        throttles = throttles or MemoryThrottles(clock)
        self._settings = settings
        self._database = database
        self._time = SteadyTime(clock)
        self._clock = clock
        self._access = AccessTokens(key, self._time)
        self._macs = SessionMacs(key)
        self._passwords = passwords or Passwords()
        self._logins = throttles("login", LOGINS_A_MINUTE)
        self._failures = throttles("failure", FAILURES_A_MINUTE)
        self._registrations = throttles("registration", REGISTRATIONS_A_MINUTE)
        self._bots = throttles("bot", settings.bots.requests_per_minute)
        self._somebody = False
        self.sessions = Sessions(database, clock, self._time, self._macs, node)
        self.tickets = tickets or MemoryTickets(clock)
        self.invites = Invites(database, self._time)
        self.setup_code = "-".join("".join(secrets.choice(CODE_LETTERS) for _ in range(5)) for _ in range(4))
        """For the first account, when it is not made from this machine. New at every start."""

    @property
    def on_session_ended(self) -> list[Ended]:
        return self.sessions.on_ended

    @property
    def access_seconds(self) -> int:
        return self._settings.auth.access_minutes * 60

    async def start(self) -> None:
        self._passwords.start()
        await self.sessions.start()

    async def close(self) -> None:
        await self.sessions.close()
        self._passwords.close()

    # --- who is it ----------------------------------------------------------------------------------------------------

    async def authenticate(
        self,
        bearer: str | None = None,
        ticket: str | None = None,
        cookie: str | None = None,
        audiences: Collection[str] = ("parley",),
    ) -> Identity:
        """The session behind the first credential given; the others are not tried.

        Raises unauthenticated or session_ended. `audiences`: `("parley",)` at the native doors, `("legacy", "parley")`
        at the legacy ones. With a cookie the caller has already looked at the Origin.
        """
        if bearer is not None and bearer.startswith(BOT):
            state = await self.sessions.by_bot_token(bearer)
            await self._bots.take(str(state.id))
        elif bearer is not None:
            claims = self._access.read(bearer, audiences)
            state = await self.sessions.live(claims.session_id)
            if state.user.id != claims.user_id or (state.kind == "legacy") != (claims.audience == "legacy"):
                raise ChatError(Code.UNAUTHENTICATED)
        elif ticket is not None:
            state = await self.sessions.live(await self.tickets.redeem(ticket))
        elif cookie is not None:
            state = await self.sessions.by_cookie(cookie)
        else:
            raise ChatError(Code.UNAUTHENTICATED)
        return identity_of(state)

    # --- coming in ----------------------------------------------------------------------------------------------------

    async def first_account(self) -> bool:
        """Is nobody here yet?"""
        if not self._somebody:
            self._somebody = not await self._database.read(sql.nobody_yet)
        return not self._somebody

    async def register(
        self, asked: Registration, client: Client, kind: Literal["native", "cookie", "legacy"] = "native"
    ) -> Login:
        """A new account and its first session. The very first is the administrator's, whatever `registration` says."""
        username = policy.check_username(asked.username, [self._settings.assistant.name])
        password = policy.check_password(asked.password)
        display_name = policy.check_display_name(username if asked.display_name is None else asked.display_name)
        if not client.local:
            await self._registrations.take(policy.address_key(client.address))
        # Once before the costly hash, once more where it counts.
        first = await self.first_account()
        await self._database.read(lambda connection: self._admit(connection, asked, client, first, use=False))
        password_hash = await self._passwords.hashed(password)
        new = self._draft(kind, client)
        now = self._clock.now_ms()

        def change(connection: Connection) -> UserRow:
            sql.lock_registration(connection)
            role = self._admit(connection, asked, client, sql.nobody_yet(connection), use=True)
            user = sql.add_user(
                connection,
                username=username,
                key=policy.username_key(username),
                display_name=display_name,
                password_hash=password_hash,
                role=role,
                now_ms=now,
            )
            if user is None:
                raise ChatError(Code.USERNAME_TAKEN)
            self.sessions.insert(connection, new, user.id)
            return user

        return self._answer(await self._database.write(change), new)

    def _admit(
        self, connection: Connection, asked: Registration, client: Client, first: bool, *, use: bool
    ) -> ServerRole:
        """May they make an account, and what will they be? With `use` an invite is used up."""
        if first:
            if not client.local and not self._is_setup_code(asked.setup_code):
                raise ChatError(Code.SETUP_CODE_REQUIRED)
            return ServerRole.ADMIN
        registration = self._settings.auth.registration
        if registration == "closed":
            raise ChatError(Code.REGISTRATION_CLOSED)
        if registration == "invite":
            good = sql.use_invite if use else sql.invite_is_good
            if asked.invite is None or not good(connection, code_hash(asked.invite), self._time.now_ms()):
                raise ChatError(Code.INVALID_INVITE)
        return ServerRole.MEMBER

    def _is_setup_code(self, code: str | None) -> bool:
        typed = (code or "").strip().upper().encode()
        return hmac.compare_digest(typed, self.setup_code.encode())

    async def login(
        self,
        username: str,
        password: str,
        client: Client,
        kind: Literal["native", "cookie", "legacy"] = "native",
    ) -> Login:
        """A new session for the right password. Answer and time of a wrong one do not tell if the name exists."""
        key = policy.username_key(username)
        address = policy.address_key(client.address)
        await self._failures.look(address)
        await self._logins.take(address, key)
        row = await self._database.read(lambda connection: sql.login_row(connection, key))
        password_hash = row.password_hash if row is not None and row.active else None
        plain = policy.normal_password(password)
        if not await self._passwords.fits(plain, password_hash) or row is None or password_hash is None:
            await self._count_failure(address)
            raise ChatError(Code.INVALID_CREDENTIALS)
        await self._logins.forget(address, key)
        better_hash = await self._passwords.hashed(plain) if self._passwords.outdated(password_hash) else None
        new = self._draft(kind, client)

        def change(connection: Connection) -> tuple[UserRow, list[SessionId]] | None:
            now = sql.login_row_of(connection, row.user.id)
            # The password may have been changed while we checked the old one, and with it every session ended.
            if now is None or not now.active or now.password_hash != password_hash:
                return None
            if better_hash is not None:
                sql.replace_password(connection, row.user.id, password_hash, better_hash)
            return now.user, self.sessions.insert(connection, new, row.user.id)

        opened = await self._database.write(change)
        if opened is None:
            raise ChatError(Code.INVALID_CREDENTIALS)
        user, ended = opened
        self.sessions.announce(ended, user.id)
        return self._answer(user, new)

    async def _count_failure(self, address: str) -> None:
        try:
            await self._failures.take(address)
        except ChatError:
            pass  # the next one is refused before its password is looked at

    async def refresh(self, refresh_token: str) -> Login:
        state, following = await self.sessions.refresh(refresh_token)
        return Login(
            state.user,
            self.access_seconds,
            self._access.issue(state.user.id, state.id, "parley", self.access_seconds),
            following,
        )

    async def ws_ticket(self, identity: Identity) -> tuple[str, int]:
        """A ticket for this session, and how many seconds it is good."""
        return await self.tickets.issue(identity.session_id), TICKET_SECONDS

    async def legacy_token(self, identity: Identity, client: Client) -> Login:
        """A token for the legacy doors, with a session of its own that can be ended by itself."""
        if identity.kind == "bot":
            # It would outlive the bot's own token, and a bot's own token is good there as well.
            raise ChatError(Code.FORBIDDEN, "A bot comes in by its own token.")
        new = self._draft("legacy", client)

        def change(connection: Connection) -> tuple[LoginRow | None, list[SessionId]]:
            row = sql.login_row_of(connection, identity.actor.user_id)
            return row, self.sessions.insert(connection, new, identity.actor.user_id)

        row, ended = await self._database.write(change)
        if row is None:
            raise ChatError(Code.SESSION_ENDED)
        self.sessions.announce(ended, row.user.id)
        return self._answer(row.user, new)

    def _draft(self, kind: Literal["native", "cookie", "legacy"], client: Client) -> NewSession:
        if kind == "legacy":
            return self.sessions.draft(kind, client, self._settings.compat.token_hours * 3_600_000)
        return self.sessions.draft(kind, client)

    def _answer(self, user: UserRow, new: NewSession) -> Login:
        if new.kind == "cookie":
            return Login(user, self.access_seconds, cookie=self._macs.cookie(new.id, new.secret))
        if new.kind == "legacy":
            seconds = self._settings.compat.token_hours * 3600
            return Login(user, seconds, self._access.issue(user.id, new.id, "legacy", seconds))
        access = self._access.issue(user.id, new.id, "parley", self.access_seconds)
        return Login(user, self.access_seconds, access, self._macs.refresh_token(new.id, new.secret, 0))

    # --- going, and changing ------------------------------------------------------------------------------------------

    async def logout(self, identity: Identity) -> None:
        await self.sessions.end(identity.session_id, identity.actor.user_id)

    async def end_session(self, actor: Actor, session_id: SessionId) -> None:
        """End one of one's own sessions."""
        if not await self.sessions.end(session_id, actor.user_id):
            raise ChatError(Code.NOT_FOUND)

    async def change_password(self, identity: Identity, old: str, new: str, client: Client) -> None:
        """Needs the old one. Ends all other sessions: whoever has the old password is out."""
        actor = identity.actor
        password = policy.check_password(new, "new_password")
        key = f"#{actor.user_id}"
        await self._logins.take(policy.address_key(client.address), key)
        row = await self._database.read(lambda connection: sql.login_row_of(connection, actor.user_id))
        old_hash = row.password_hash if row is not None else None
        if not await self._passwords.fits(policy.normal_password(old), old_hash):
            raise ChatError(Code.INVALID_CREDENTIALS, "The old password is wrong.")
        await self._logins.forget(policy.address_key(client.address), key)
        new_hash = await self._passwords.hashed(password)
        now = self._time.now_ms()

        def change(connection: Connection) -> list[SessionId] | None:
            if not sql.replace_password(connection, actor.user_id, old_hash, new_hash):
                return None
            return sql.revoke_all(connection, actor.user_id, identity.session_id, now)

        ended = await self._database.write(change)
        if ended is None:
            raise ChatError(Code.INVALID_CREDENTIALS, "The old password is wrong.")
        self.sessions.announce(ended, actor.user_id)

    # --- people -------------------------------------------------------------------------------------------------------

    async def user(self, user_id: UserId) -> UserRow:
        found = await self._database.read(lambda connection: sql.user(connection, user_id))
        if found is None:
            raise ChatError(Code.UNKNOWN_USER)
        return found

    async def rename(self, actor: Actor, display_name: str) -> UserRow:
        shown = policy.check_display_name(display_name)
        changed = await self._database.write(lambda connection: sql.rename(connection, actor.user_id, shown))
        if changed is None:
            raise ChatError(Code.UNKNOWN_USER)
        return changed

    async def find(self, beginning: str, after: int, limit: int) -> list[UserRow]:
        """Accounts whose user name or display name begins so, in the order they were made."""
        key = policy.username_key(beginning)
        return await self._database.read(lambda connection: sql.find_users(connection, key, beginning, after, limit))
