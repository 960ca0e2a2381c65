"""A data folder for a run: accounts, sessions, rooms, members and old messages put straight into the database.

Registering thousands of accounts would measure argon2. What a server finds here is what it would have written itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from sqlalchemy import Connection, func, insert, select

from parley.client_ids import new_client_id
from parley.clock import SystemClock
from parley.ids import Snowflakes
from parley.protocol import bodies
from parley.protocol.types import ConversationKind, EntryKind, JoinPolicy, MessageKind, Role, SessionId, UserId
from parley.services.steady import SteadyTime
from parley.services.tokens import AccessTokens, signing_key
from parley.store.migrate import upgrade
from parley.store.sqlite import FolderLock, writer_engine
from parley.store.tables import conversations, entries, members, sessions, users

DAY = 86_400
CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """`rooms[i]` lists the members of room i as positions from 0. `preloaded` messages lie in the rooms by turns."""

    users: int
    rooms: Sequence[Sequence[int]]
    preloaded: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Seeded:
    """Tokens and user ids by position, conversation ids and heads by room; `row_bytes`: of a stored message's body."""

    tokens: list[str]
    user_ids: list[int]
    rooms: list[int]
    heads: list[int]
    row_bytes: int
    salt: int = field(default_factory=lambda: secrets.randbits(26))


def seed(data: Path, plan: Plan) -> Seeded:
    """Make the folder. No server may run on it yet. Blocks."""
    clock = SystemClock()
    now = clock.now_ms()
    ids = Snowflakes(clock)
    lock = FolderLock(data)
    try:
        key = signing_key(data / "signing.key", make=True)
        engine = writer_engine(data / "parley.db")
        upgrade(engine, now_ms=now, backup=False)
        with engine.connect() as connection, connection.begin():
            user_ids = _add_users(connection, plan.users, now)
            session_ids = _add_sessions(connection, user_ids, ids, now)
            rooms = _add_rooms(connection, plan, user_ids, now)
            heads = _add_messages(connection, plan, rooms, user_ids, ids, now)
        engine.dispose()
    finally:
        lock.release()
    tokens = AccessTokens(key, SteadyTime(clock))
    made = [
        tokens.issue(UserId(user), SessionId(session), "parley", DAY)
        for user, session in zip(user_ids, session_ids, strict=True)
    ]
    return Seeded(made, user_ids, rooms, heads, len(_body(0, plan.text)))


def _add_users(connection: Connection, count: int, now: int) -> list[int]:
    first = (connection.scalar(select(func.max(users.c.id))) or 0) + 1
    ids = list(range(first, first + count))
    rows = [
        {
            "id": id_, "username": f"bench{id_}", "username_key": f"bench{id_}", "display_name": f"Bench {id_}",
            "role": "member", "guest": False, "created_at": now,
        }
        for id_ in ids
    ]  # fmt: skip
    connection.execute(insert(users), rows)
    return ids


def _add_sessions(connection: Connection, user_ids: list[int], ids: Snowflakes, now: int) -> list[int]:
    made = [ids.next() for _ in user_ids]
    rows = [
        {
            "id": id_, "user_id": user, "kind": "native", "secret": secrets.token_urlsafe(24), "generation": 0,
            "rotated_at": now, "created_at": now, "last_used_at": now, "expires_at": now + DAY * 1000,
            "user_agent": "parley bench", "address": "127.0.0.1",
        }
        for id_, user in zip(made, user_ids, strict=True)
    ]  # fmt: skip
    connection.execute(insert(sessions), rows)
    return made


def _add_rooms(connection: Connection, plan: Plan, user_ids: list[int], now: int) -> list[int]:
    first = (connection.scalar(select(func.max(conversations.c.id))) or 0) + 1
    rooms = list(range(first, first + len(plan.rooms)))
    for room, inside in zip(rooms, plan.rooms, strict=True):
        connection.execute(
            insert(conversations).values(
                id=room,
                kind=ConversationKind.ROOM.value,
                name=f"bench{room}",
                title=f"Bench {room}",
                join_policy=JoinPolicy.INVITE.value,
                member_count=len(inside),
                created_at=now,
            )
        )
        rows = [
            {
                "conversation_id": room, "user_id": user_ids[position], "joined_seq": 0, "joined_at": now,
                "role": (Role.MEMBER if number else Role.OWNER).value,
            }
            for number, position in enumerate(inside)
        ]  # fmt: skip
        if rows:
            connection.execute(insert(members), rows)
    return rooms


def _add_messages(
    connection: Connection, plan: Plan, rooms: list[int], user_ids: list[int], ids: Snowflakes, now: int
) -> list[int]:
    heads = [0] * len(rooms)
    last: list[int | None] = [None] * len(rooms)
    rows = []
    for number in range(plan.preloaded):
        at = number % len(rooms)
        inside = plan.rooms[at] or range(len(user_ids))
        heads[at] += 1
        id_ = last[at] = ids.next()
        rows.append(
            {
                "id": id_, "conversation_id": rooms[at], "seq": heads[at], "ordinal": heads[at],
                "kind": EntryKind.MESSAGE_CREATED.value, "actor_id": user_ids[inside[number % len(inside)]],
                "client_id": new_client_id(), "at": now, "body": _body(id_, plan.text).decode(),
            }
        )  # fmt: skip
        if len(rows) == CHUNK or number == plan.preloaded - 1:
            connection.execute(insert(entries), rows)
            rows.clear()
    for room, head, newest in zip(rooms, heads, last, strict=True):
        connection.execute(
            conversations.update()
            .where(conversations.c.id == room)
            .values(last_seq=head, last_ordinal=head, last_message_id=newest)
        )
    return heads


def _body(id_: int, text: str) -> bytes:
    """As the server stores a message."""
    long_id = str(id_).rjust(18, "1")
    return msgspec.json.encode(bodies.Created(bodies.MessageBody(long_id, MessageKind.TEXT.value, text)))
