"""The SQL of accounts, sessions and invites: each function one question or change in the caller's transaction."""

from collections.abc import Collection, Iterable, Sequence

import msgspec
from sqlalchemy import Connection, CursorResult, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from parley.protocol.types import ServerRole, SessionId, UserId
from parley.store.sql.fetch import holdable
from parley.store.tables import conversations, invites, marks, meta, sessions, users


class UserRow(msgspec.Struct, frozen=True):
    """An account, without its password."""

    id: UserId
    username: str
    display_name: str
    role: str
    guest: bool
    created_at: int


class LoginRow(msgspec.Struct, frozen=True):
    user: UserRow
    password_hash: str | None
    active: bool


class SessionState(msgspec.Struct, frozen=True):
    """A session with its account: all that lets a request through or not."""

    id: SessionId
    kind: str
    secret: str
    generation: int
    rotated_at: int
    last_used_at: int
    expires_at: int
    revoked: bool
    active: bool
    user: UserRow


class SessionView(msgspec.Struct, frozen=True):
    """A session as its owner sees it."""

    id: SessionId
    kind: str
    created_at: int
    last_used_at: int
    user_agent: str
    address: str


class InviteRow(msgspec.Struct, frozen=True):
    id: int
    uses: int
    used: int
    expires_at: int
    created_at: int


USER = (users.c.id, users.c.username, users.c.display_name, users.c.role, users.c.guest, users.c.created_at)


def _changed(result: CursorResult[tuple[()]]) -> bool:
    return bool(result.rowcount)


# --- users ------------------------------------------------------------------------------------------------------------


def lock_registration(connection: Connection) -> None:
    """One registration at a time, on every node: who is first must not be decided twice. SQLite has one writer anyhow.

    The first statement of its transaction, because MariaDB reads as of the first read.
    """
    connection.execute(select(meta.c.value).where(meta.c.key == "epoch").with_for_update())


def nobody_yet(connection: Connection) -> bool:
    """Is there no account of a person?"""
    person = and_(users.c.guest.is_(False), users.c.role != ServerRole.ASSISTANT.value)
    return connection.scalar(select(users.c.id).where(person).limit(1)) is None


def add_user(
    connection: Connection,
    *,
    username: str,
    key: str,
    display_name: str,
    password_hash: str | None,
    role: ServerRole,
    now_ms: int,
) -> UserRow | None:
    """The new account, with the lobby read up to its head; None if the name is taken."""
    if connection.scalar(select(users.c.id).where(users.c.username_key == key)) is not None:
        return None
    row = {"username": username, "display_name": display_name, "role": role, "guest": False, "created_at": now_ms}
    try:
        with connection.begin_nested():
            made = connection.execute(insert(users).values(**row, username_key=key, password_hash=password_hash))
    except IntegrityError:
        return None
    assert made.inserted_primary_key is not None
    user_id = UserId(made.inserted_primary_key[0])
    _enter_lobby(connection, user_id)
    return UserRow(user_id, username, display_name, role, False, now_ms)


def _enter_lobby(connection: Connection, user_id: UserId) -> None:
    """What was said there before does not count as unread."""
    lobby = connection.execute(
        select(conversations.c.id, conversations.c.last_seq, conversations.c.last_ordinal)
        .where(conversations.c.lobby)
        .with_for_update()
    ).one()
    connection.execute(
        insert(marks).values(
            user_id=user_id,
            conversation_id=lobby.id,
            read_seq=lobby.last_seq,
            read_ordinal=lobby.last_ordinal,
            delivered_seq=lobby.last_seq,
        )
    )
    connection.execute(
        update(conversations)
        .where(conversations.c.id == lobby.id)
        .values(member_count=conversations.c.member_count + 1)
    )


def login_row(connection: Connection, key: str) -> LoginRow | None:
    if not holdable(key):
        return None
    row = connection.execute(
        select(*USER, users.c.password_hash, users.c.deactivated_at).where(users.c.username_key == key)
    ).one_or_none()
    return row and LoginRow(UserRow(*row[:6]), row.password_hash, row.deactivated_at is None)


def login_row_of(connection: Connection, user_id: UserId) -> LoginRow | None:
    row = connection.execute(
        select(*USER, users.c.password_hash, users.c.deactivated_at).where(users.c.id == user_id)
    ).one_or_none()
    return row and LoginRow(UserRow(*row[:6]), row.password_hash, row.deactivated_at is None)


def replace_password(connection: Connection, user_id: UserId, old_hash: str | None, new_hash: str) -> bool:
    """False if the password is not the one any more that the caller has checked."""
    same = users.c.password_hash == old_hash
    return _changed(connection.execute(update(users).where(users.c.id == user_id, same).values(password_hash=new_hash)))


def user(connection: Connection, user_id: UserId) -> UserRow | None:
    row = connection.execute(select(*USER).where(users.c.id == user_id)).one_or_none()
    return row and UserRow(*row)


def rename(connection: Connection, user_id: UserId, display_name: str) -> UserRow | None:
    connection.execute(update(users).where(users.c.id == user_id).values(display_name=display_name))
    return user(connection, user_id)


def find_users(connection: Connection, key: str, shown: str, after: int, limit: int) -> list[UserRow]:
    """Accounts whose user name (by its key) or display name begins so, in id order from after `after`."""
    if not holdable(key, shown):
        return []
    begins = or_(
        users.c.username_key.startswith(key, autoescape=True),
        func.lower(users.c.display_name).startswith(shown.lower(), autoescape=True),
        users.c.display_name.startswith(shown, autoescape=True),
    )
    found = connection.execute(
        select(*USER)
        .where(begins, users.c.id > after, users.c.deactivated_at.is_(None), users.c.guest.is_(False))
        .order_by(users.c.id)
        .limit(limit)
    )
    return [UserRow(*row) for row in found]


# --- sessions ---------------------------------------------------------------------------------------------------------


def add_session(
    connection: Connection,
    *,
    session_id: SessionId,
    user_id: UserId,
    kind: str,
    secret: str,
    now_ms: int,
    expires_at: int,
    user_agent: str,
    address: str,
) -> None:
    connection.execute(
        insert(sessions).values(
            id=session_id,
            user_id=user_id,
            kind=kind,
            secret=secret,
            generation=0,
            rotated_at=now_ms,
            created_at=now_ms,
            last_used_at=now_ms,
            expires_at=expires_at,
            user_agent=user_agent,
            address=address,
        )
    )


def highest_session(connection: Connection) -> int:
    return connection.scalar(select(func.max(sessions.c.id))) or 0


def session(connection: Connection, session_id: SessionId, *, lock: bool = False) -> SessionState | None:
    s = sessions.c
    asked = (
        select(
            s.id, s.kind, s.secret, s.generation, s.rotated_at, s.last_used_at, s.expires_at, s.revoked_at,
            users.c.deactivated_at, *(column.label(f"user_{column.name}") for column in USER),
        )
        .join(users, users.c.id == s.user_id)
        .where(s.id == session_id)
    )  # fmt: skip
    row = connection.execute(asked.with_for_update(of=sessions) if lock else asked).one_or_none()
    if row is None:
        return None
    return SessionState(
        id=row.id,
        kind=row.kind,
        secret=row.secret,
        generation=row.generation,
        rotated_at=row.rotated_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        revoked=row.revoked_at is not None,
        active=row.deactivated_at is None,
        user=UserRow(*row[9:]),
    )


def rotate(connection: Connection, session_id: SessionId, generation: int, now_ms: int, expires_at: int) -> bool:
    """On to the next generation of refresh tokens, if it is still this one."""
    return _changed(
        connection.execute(
            update(sessions)
            .where(sessions.c.id == session_id, sessions.c.generation <= generation, sessions.c.revoked_at.is_(None))
            .values(generation=generation + 1, rotated_at=now_ms, last_used_at=now_ms, expires_at=expires_at)
        )
    )


def revoke(connection: Connection, session_id: SessionId, user_id: UserId, now_ms: int) -> bool:
    """End a session of this user. False if there was none to end."""
    return _changed(
        connection.execute(
            update(sessions)
            .where(sessions.c.id == session_id, sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None))
            .values(revoked_at=now_ms)
        )
    )


def revoke_all(connection: Connection, user_id: UserId, keep: SessionId | None, now_ms: int) -> list[SessionId]:
    """End all sessions of this user but one. Returns those that were ended."""
    alive = and_(sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None), sessions.c.id != (keep or 0))
    ended = list(connection.scalars(select(sessions.c.id).where(alive)))
    connection.execute(update(sessions).where(alive).values(revoked_at=now_ms))
    return [SessionId(it) for it in ended]


def tidy(connection: Connection, user_id: UserId, forget_before: int, most: int, now_ms: int) -> list[SessionId]:
    """Forget the user's sessions that ended long ago, and end the least used over `most`. Returns the latter."""
    mine = sessions.c.user_id == user_id
    gone = or_(sessions.c.revoked_at < forget_before, sessions.c.expires_at < forget_before)
    connection.execute(delete(sessions).where(mine, gone))
    alive = and_(mine, sessions.c.revoked_at.is_(None))
    newest_first = (sessions.c.last_used_at.desc(), sessions.c.id.desc())
    # Only one is added at a time, so no more than a few are ever over.
    over = list(connection.scalars(select(sessions.c.id).where(alive).order_by(*newest_first).offset(most).limit(100)))
    if over:
        connection.execute(update(sessions).where(sessions.c.id.in_(over)).values(revoked_at=now_ms))
    return [SessionId(it) for it in over]


def sessions_of(connection: Connection, user_id: UserId, now_ms: int, after: int, limit: int) -> list[SessionView]:
    s = sessions.c
    found = connection.execute(
        select(s.id, s.kind, s.created_at, s.last_used_at, s.user_agent, s.address)
        .where(s.user_id == user_id, s.revoked_at.is_(None), s.expires_at > now_ms, s.id > after)
        .order_by(s.id)
        .limit(limit)
    )
    return [SessionView(*row) for row in found]


def touch(connection: Connection, used: Iterable[tuple[SessionId, int, int | None]]) -> None:
    """(session, when used, when it expires now or None to leave that)."""
    for session_id, at, expires_at in used:
        values = {"last_used_at": at} if expires_at is None else {"last_used_at": at, "expires_at": expires_at}
        connection.execute(update(sessions).where(sessions.c.id == session_id).values(values))


def standing_among(connection: Connection, asked: Collection[SessionId], now_ms: int) -> dict[SessionId, bool]:
    """Those of them that are not over, and whether their account is an administrator's."""
    alive = and_(sessions.c.revoked_at.is_(None), sessions.c.expires_at > now_ms, users.c.deactivated_at.is_(None))
    of_users = select(sessions.c.id, users.c.role).join(users, users.c.id == sessions.c.user_id)
    rows = connection.execute(of_users.where(sessions.c.id.in_(asked), alive))
    return {SessionId(it): role == ServerRole.ADMIN for it, role in rows}


# --- invites ----------------------------------------------------------------------------------------------------------


def add_invite(
    connection: Connection, *, code_hash: str, created_by: UserId, uses: int, now_ms: int, expires_at: int
) -> InviteRow:
    made = connection.execute(
        insert(invites).values(
            code_hash=code_hash, created_by=created_by, created_at=now_ms, expires_at=expires_at, uses=uses, used=0
        )
    )
    assert made.inserted_primary_key is not None
    return InviteRow(made.inserted_primary_key[0], uses, 0, expires_at, now_ms)


def invite_is_good(connection: Connection, code_hash: str, now_ms: int) -> bool:
    i = invites.c
    good = and_(i.code_hash == code_hash, i.expires_at > now_ms, i.used < i.uses)
    return connection.scalar(select(i.id).where(good)) is not None


def use_invite(connection: Connection, code_hash: str, now_ms: int) -> bool:
    """Take one use of it, if it has one left."""
    i = invites.c
    good = and_(i.code_hash == code_hash, i.expires_at > now_ms, i.used < i.uses)
    return _changed(connection.execute(update(invites).where(good).values(used=i.used + 1)))


def list_invites(connection: Connection, after: int, limit: int) -> Sequence[InviteRow]:
    i = invites.c
    found = connection.execute(
        select(i.id, i.uses, i.used, i.expires_at, i.created_at).where(i.id > after).order_by(i.id).limit(limit)
    )
    return [InviteRow(*row) for row in found]


def remove_invite(connection: Connection, invite_id: int) -> bool:
    return _changed(connection.execute(delete(invites).where(invites.c.id == invite_id)))
