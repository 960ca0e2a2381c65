"""Sessions: what a login opens, every request checks, and a logout, a revocation or a stolen token ends."""

import asyncio
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection
from functools import partial
from typing import Literal

import msgspec
import structlog
from sqlalchemy import Connection

from parley.clock import Clock
from parley.ids import Snowflakes
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ServerRole, SessionId, UserId
from parley.services.steady import SteadyTime
from parley.services.tokens import SessionMacs, bot_hash, split_bot_token, split_cookie, split_refresh_token
from parley.store.interface import Database, StoreUnavailable
from parley.store.sql import accounts as sql
from parley.store.sql.accounts import SessionState, SessionView

Kind = Literal["native", "cookie", "legacy", "bot"]
Ended = Callable[[SessionId | None, UserId], None]

DAY_MS = 86_400_000
IDLE_MS = 30 * DAY_MS
"""A session ends when it was not used for so long; each use moves that on."""
TOUCH_MS = 5 * 60_000
"""How exactly `last_used_at` is kept: a write for every request would cost more than the request."""
TRUST_S = 1.0
"""How long an answer of the store is believed: another node's revocation is seen after it at the latest."""
GRACE_MS = 10_000
"""For so long the last refresh token still gets the answer that the first to use it got: two tabs are not a thief."""
REMEMBERED = 50_000
REMEMBERED_ENDS = 10_000
"""More than can end while one question is under way."""
A_USER = 2000
"""Live sessions of one account; one more ends the one that was not used for longest."""

log = structlog.stdlib.get_logger("parley.sessions")


class Client(msgspec.Struct, frozen=True):
    """Where a request comes from."""

    address: str = ""
    user_agent: str = ""
    local: bool = False


class Identity(msgspec.Struct, frozen=True):
    """Who is calling, by which session."""

    actor: Actor
    session_id: SessionId
    kind: str


class NewSession(msgspec.Struct, frozen=True):
    """A session to be opened, before it is in the store."""

    id: SessionId
    kind: Kind
    secret: str
    client: Client
    now_ms: int
    expires_at: int


def identity_of(state: SessionState) -> Identity:
    user = state.user
    actor = Actor(user.id, user.display_name, state.id, user.role == ServerRole.ADMIN, user.guest)
    return Identity(actor, state.id, state.kind)


class Sessions:
    """Call `start` before anything else; all of it on the event loop's thread."""

    def __init__(self, database: Database, clock: Clock, time: SteadyTime, macs: SessionMacs, node: int = 0) -> None:
        self._database = database
        self._clock = clock
        self._time = time
        self._macs = macs
        self._node = node
        self._ids = Snowflakes(clock, node)
        self._known: OrderedDict[SessionId, tuple[float, SessionState]] = OrderedDict()
        self._ended: OrderedDict[SessionId, None] = OrderedDict()
        """The last that ended here: an answer that was read before it is not to be believed after it."""
        self._used: dict[SessionId, tuple[int, int | None]] = {}
        self._touching: asyncio.Task[None] | None = None
        self.on_ended: list[Ended] = []
        """Told of every session that ends here, on the loop, after the store has it; None: all of the user."""

    async def start(self) -> None:
        highest = await self._database.read(sql.highest_session)
        self._ids = Snowflakes(self._clock, self._node, after=highest)

    async def close(self) -> None:
        """Write down the last uses that are still in memory."""
        while self._touching is not None:
            await self._touching

    # --- opening ------------------------------------------------------------------------------------------------------

    def draft(self, kind: Kind, client: Client, lasts_ms: int = IDLE_MS) -> NewSession:
        now = self._time.now_ms()
        return NewSession(SessionId(self._ids.next()), kind, secrets.token_urlsafe(24), client, now, now + lasts_ms)

    def insert(
        self, connection: Connection, new: NewSession, user_id: UserId, *, secret: str | None = None
    ) -> list[SessionId]:
        """Open it, in the caller's transaction. Returns the sessions that had to end for it: `announce` them then.
        `secret`: of a bot's, what is kept of its token."""
        sql.add_session(
            connection,
            session_id=new.id,
            user_id=user_id,
            kind=new.kind,
            secret=new.secret if secret is None else secret,
            now_ms=new.now_ms,
            expires_at=new.expires_at,
            user_agent=new.client.user_agent[:255],
            address=new.client.address[:64],
        )
        return sql.tidy(connection, user_id, new.now_ms - IDLE_MS, A_USER, new.now_ms)

    # --- checking -----------------------------------------------------------------------------------------------------

    async def live(self, session_id: SessionId) -> SessionState:
        """The session and its account, at most `TRUST_S` old. Raises session_ended."""
        state = await self._find(session_id)
        if state is None or not self._alive(state):
            raise ChatError(Code.SESSION_ENDED)
        self._touch(state)
        return state

    async def by_cookie(self, value: str) -> SessionState:
        """Raises unauthenticated for a cookie that we did not make, session_ended for one whose session is over."""
        session_id = split_cookie(value)
        state = None if session_id is None else await self._find(session_id)
        if state is None or state.kind != "cookie" or not self._macs.is_cookie(value, state.id, state.secret):
            raise ChatError(Code.UNAUTHENTICATED)
        return await self.live(state.id)

    async def by_bot_token(self, token: str) -> SessionState:
        """Raises unauthenticated for a token that is no bot's, session_ended for one that was revoked."""
        session_id = split_bot_token(token)
        state = None if session_id is None else await self._find(session_id)
        if state is None or state.kind != "bot" or not hmac.compare_digest(bot_hash(token), state.secret):
            raise ChatError(Code.UNAUTHENTICATED)
        return await self.live(state.id)

    async def ended_among(self, asked: Collection[SessionId]) -> set[SessionId]:
        """Which of these are over, by the store: for sockets, whose session may have been ended on another node."""
        return set(asked) - (await self.standing_among(asked)).keys()

    async def standing_among(self, asked: Collection[SessionId]) -> dict[SessionId, bool]:
        """Those of them that are not over, by the store, and whether their account is an administrator's now."""
        now = self._time.now_ms()
        return await self._database.read(lambda connection: sql.standing_among(connection, list(asked), now))

    def _alive(self, state: SessionState) -> bool:
        return state.active and not state.revoked and state.expires_at > self._time.now_ms()

    async def _find(self, session_id: SessionId) -> SessionState | None:
        known = self._known.get(session_id)
        if known is not None and self._clock.monotonic() - known[0] < TRUST_S:
            return known[1]
        asked_at = self._clock.monotonic()
        state = await self._database.read(lambda connection: sql.session(connection, session_id))
        if state is not None and session_id in self._ended:
            # Read before it was ended, which happened meanwhile; an end is for good.
            state = msgspec.structs.replace(state, revoked=True)
        if state is not None and self._alive(state):
            self._known[session_id] = (asked_at, state)
            self._known.move_to_end(session_id)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.pop(session_id, None)
        return state

    # --- refreshing ---------------------------------------------------------------------------------------------------

    async def refresh(self, token: str) -> tuple[SessionState, str]:
        """The session and its next refresh token. Raises unauthenticated, session_ended or refresh_reused.

        A token from before the last is one that was stolen, or whose successor was: the session ends for both.
        """
        parts = split_refresh_token(token)
        if parts is None:
            raise ChatError(Code.UNAUTHENTICATED, "The refresh token is not valid.")
        session_id, generation = parts
        now = self._time.now_ms()

        def change(connection: Connection) -> tuple[SessionState, int | None]:
            state = sql.session(connection, session_id, lock=True)
            if (
                state is None
                or state.kind != "native"
                or not self._macs.is_refresh_token(token, session_id, state.secret, generation)
            ):
                raise ChatError(Code.UNAUTHENTICATED, "The refresh token is not valid.")
            if not self._alive(state):
                raise ChatError(Code.SESSION_ENDED)
            # Above the stored one: the database was restored from before this token was made. Its MAC says it is ours.
            if generation >= state.generation:
                sql.rotate(connection, session_id, generation, now, now + IDLE_MS)
                return state, generation + 1
            # A negative age is the wall clock of a restarted server, set back.
            if generation == state.generation - 1 and now - state.rotated_at < GRACE_MS:
                return state, state.generation
            # Not raised in here: that would take the revocation back.
            sql.revoke(connection, session_id, state.user.id, now)
            return state, None

        state, following = await self._database.write(change)
        if following is None:
            log.warning("refresh_token_reused", session=str(session_id), user=str(state.user.id))
            self.announce([session_id], state.user.id)
            raise ChatError(Code.REFRESH_REUSED)
        return state, self._macs.refresh_token(session_id, state.secret, following)

    # --- ending -------------------------------------------------------------------------------------------------------

    async def end(self, session_id: SessionId, user_id: UserId) -> bool:
        """End this user's session, here at once and elsewhere within `TRUST_S`. False if there was none."""
        now = self._time.now_ms()
        ended = await self._database.write(lambda connection: sql.revoke(connection, session_id, user_id, now))
        if ended:
            self.announce([session_id], user_id)
        return ended

    def announce(self, ended: Collection[SessionId], user_id: UserId) -> None:
        """Forget sessions that the store has ended, and tell whoever holds sockets of theirs."""
        for session_id in ended:
            self._forget(session_id)
            for told in self.on_ended:
                try:
                    told(session_id, user_id)
                except Exception:
                    log.exception("session_end_not_heard")

    def ended_elsewhere(self, session_id: SessionId | None, user_id: UserId) -> None:
        """Another node has ended it (None: all of the user's): what is remembered of it must let nobody in."""
        ended = [session_id] if session_id is not None else [it for it in self._known if self._is_of(it, user_id)]
        for one in ended:
            self._forget(one)

    def _is_of(self, session_id: SessionId, user_id: UserId) -> bool:
        return self._known[session_id][1].user.id == user_id

    def _forget(self, session_id: SessionId) -> None:
        self._known.pop(session_id, None)
        self._ended[session_id] = None
        if len(self._ended) > REMEMBERED_ENDS:
            self._ended.popitem(last=False)

    async def listed(self, user_id: UserId, after: int, limit: int) -> list[SessionView]:
        now = self._time.now_ms()
        return await self._database.read(lambda connection: sql.sessions_of(connection, user_id, now, after, limit))

    # --- last use -----------------------------------------------------------------------------------------------------

    def _touch(self, state: SessionState) -> None:
        now = self._time.now_ms()
        if now - state.last_used_at < TOUCH_MS or state.id in self._used:
            return
        # A legacy token says itself when it ends, and a bot's does not; the others' sessions last while they are used.
        self._used[state.id] = (now, None if state.kind in {"legacy", "bot"} else now + IDLE_MS)
        if self._touching is None:
            self._touching = asyncio.create_task(self._write_uses())

    async def _write_uses(self) -> None:
        """All that gathered while the last write ran, in one: after a restart everybody comes back at once."""
        try:
            while self._used:
                uses, self._used = [(it, *use) for it, use in self._used.items()], {}
                try:
                    await self._database.write(partial(sql.touch, used=uses))
                except StoreUnavailable:
                    log.warning("last_use_not_written", sessions=len(uses))
                for session_id, _, _ in uses:
                    self._known.pop(session_id, None)  # it still holds the old time
        finally:
            self._touching = None
