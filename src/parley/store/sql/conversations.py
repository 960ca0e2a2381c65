"""Conversations as one reader sees them: where one has a seat, what stands there, and which rooms are open to all."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, Select, String, and_, bindparam, func, or_, select

from parley.clock import rfc3339
from parley.protocol.types import ConversationId, ConversationKind, JoinPolicy, MessageId, Role, UserId, pair
from parley.store.interface import ConversationView
from parley.store.sql.access import lobby_role
from parley.store.sql.fetch import Query, Row, epoch, holdable, one_of, recency
from parley.store.sql.messages import messages_by_id
from parley.store.tables import conversations, marks, members, users

MOST_IDS = 500
"""Ids in one question."""

_c, _k = conversations.c, marks.c
_LAST = 2**62
_NOWHERE = 0
"""No conversation has this id."""
_member_too = and_(members.c.conversation_id == _c.id, members.c.user_id == bindparam("user"))
_mine = (
    select(members.c.conversation_id, members.c.role)
    .where(members.c.user_id == bindparam("user"))
    .union_all(select(bindparam("lobby", type_=BigInteger), bindparam("lobby_role", type_=String)))
    .subquery("mine")
)
_SEATS = Query(
    select(_c.id, _mine.c.role, _c.last_seq, recency().label("recency"))
    .join_from(_mine, conversations, _c.id == _mine.c.conversation_id)
    .where(
        or_(
            recency() < bindparam("moment"),
            and_(recency() == bindparam("moment"), _c.id < bindparam("id")),
        )
    )
    .order_by(recency().desc(), _c.id.desc())
    .limit(bindparam("limit"))
)
_HEADS = Query(
    select(_c.id, _c.last_seq, _c.lobby, members.c.user_id)
    .outerjoin_from(conversations, members, _member_too)
    .where(_c.id.in_(one_of("ids")))
)
_VIEWED = Query(
    select(
        _c.id, _c.kind, _c.name, _c.title, _c.lobby, _c.join_policy, _c.low_user, _c.high_user, _c.last_seq,
        _c.last_ordinal, _c.last_message_id, _c.member_count, _c.created_at, _c.closed_at,
        _k.read_seq, _k.read_ordinal, _k.delivered_seq,
    )
    .outerjoin_from(conversations, marks, and_(_k.conversation_id == _c.id, _k.user_id == bindparam("user")))
    .where(_c.id.in_(one_of("ids")))
)  # fmt: skip
_MARKED = Query(
    select(_k.user_id, _k.read_seq, _k.read_ordinal, _k.delivered_seq).where(
        _k.conversation_id == bindparam("conversation"), _k.user_id.in_(one_of("users"))
    )
)
_ROOMS = Query(
    select(_c.id, _c.name, _c.title, _c.member_count, members.c.user_id.label("joined"))
    .outerjoin_from(conversations, members, _member_too)
    .where(
        _c.kind == ConversationKind.ROOM.value,
        _c.join_policy == JoinPolicy.OPEN.value,
        _c.lobby.is_(False),
        _c.closed_at.is_(None),
        _c.name > bindparam("after"),
        or_(
            func.lower(_c.name).like(bindparam("begins"), escape="/"),
            func.lower(_c.title).like(bindparam("begins"), escape="/"),
        ),
    )
    .order_by(_c.name)
    .limit(bindparam("limit"))
)


def user_rows() -> Select[Any]:
    u = users.c
    return select(u.id, u.username, u.display_name, u.role, u.guest, u.created_at)


_PEOPLE = Query(user_rows().where(users.c.id.in_(one_of("ids"))))


class SeenConversation(ConversationView, frozen=True):
    """A view with the epoch of its transaction: a snapshot at `head`, to which later entries may be added."""

    epoch: str


def conversation_shape(view: SeenConversation) -> dict[str, Any]:
    """A Conversation as the protocol shows it; for msgspec's encoder, since the last message in it is JSON."""
    return {
        "id": str(view.id),
        "kind": view.kind,
        "name": view.name,
        "title": view.title,
        "head": view.head,
        "epoch": view.epoch,
        "join_policy": view.join_policy,
        "role": view.role,
        "member_count": view.member_count,
        "read_seq": view.read_seq,
        "delivered_seq": view.delivered_seq,
        "unread": view.unread,
        "peer": view.peer,
        "last_message": view.last_message,
        "created_at": rfc3339(view.created_at),
        "closed": view.closed,
    }


class Seat(msgspec.Struct, frozen=True):
    """A conversation that a user may read, and as what. `recency` orders them by when something was last said."""

    id: ConversationId
    role: Role
    head: int = 0
    recency: int = 0


class Room(msgspec.Struct, frozen=True):
    """A room in the directory; `joined` by the one who asks."""

    id: ConversationId
    name: str
    title: str | None
    member_count: int
    joined: bool


# Seats


def find_lobby(connection: Connection) -> ConversationId | None:
    return connection.execute(select(_c.id).where(_c.lobby.is_(True)).order_by(_c.id).limit(1)).scalar_one_or_none()


def role_in_lobby(connection: Connection, user_id: UserId) -> Role | None:
    u = users.c
    row = connection.execute(select(u.role, u.guest, u.deactivated_at).where(u.id == user_id)).one_or_none()
    return lobby_role(row.role, guest=row.guest, active=row.deactivated_at is None) if row else None


def seats(
    connection: Connection,
    user_id: UserId,
    lobby: ConversationId | None,
    *,
    before: tuple[int, int] | None = None,
    limit: int | None = None,
) -> list[Seat]:
    """The user's seats, where something was said last first. `before`: those after the seat of this (recency, id)."""
    role = role_in_lobby(connection, user_id) if lobby is not None else None
    moment, id_ = before or (_LAST, _LAST)
    rows = _SEATS.rows(
        connection,
        user=user_id,
        lobby=lobby if role is not None else _NOWHERE,
        lobby_role=role or "",
        moment=moment,
        id=id_,
        limit=limit or _LAST,
    )
    return [Seat(ConversationId(id_), Role(role), head, at) for id_, role, head, at in rows]


def heads(connection: Connection, user_id: UserId, ids: Sequence[ConversationId]) -> dict[ConversationId, int]:
    """The heads of those of `ids` that the user may read."""
    found: dict[ConversationId, int] = {}
    in_lobby = role_in_lobby(connection, user_id) is not None
    for start in range(0, len(ids), MOST_IDS):
        part = ids[start : start + MOST_IDS]
        for id_, head, lobby, member in _HEADS.rows(connection, user=user_id, ids=part):
            if in_lobby if lobby else member is not None:
                found[ConversationId(id_)] = head
    return found


# Views


def views(
    connection: Connection, user_id: UserId, taken: Sequence[Seat], lobby_size: Callable[[Connection], int]
) -> list[SeenConversation]:
    """What the user sees from these seats, in their order. A handful of questions, however many they are."""
    if not taken:
        return []
    found_rows = _VIEWED.rows(connection, user=user_id, ids=[seat.id for seat in taken])
    rows = {row[0]: _ConversationRow(*row) for row in found_rows}
    now = epoch(connection)
    last = messages_by_id(connection, [row.last_message_id for row in rows.values() if row.last_message_id])
    peers = people(connection, [other for row in rows.values() if (other := row.peer_of(user_id)) is not None])
    accounts = lobby_size(connection) if any(row.lobby for row in rows.values()) else 0
    found = []
    for seat in taken:
        row = rows[seat.id]
        message = last.get(MessageId(row.last_message_id)) if row.last_message_id else None
        found.append(
            SeenConversation(
                id=seat.id,
                kind=row.kind,
                name="lobby" if row.lobby else row.name,
                title=row.title,
                head=row.last_seq,
                join_policy=row.join_policy,
                role=seat.role.value,
                member_count=accounts if row.lobby else row.member_count,
                read_seq=row.read_seq or 0,
                delivered_seq=row.delivered_seq or 0,
                unread=max(0, row.last_ordinal - (row.read_ordinal or 0)),
                peer=peers.get(row.peer_of(user_id)),
                last_message=msgspec.Raw(msgspec.json.encode(message)) if message else None,
                created_at=row.created_at,
                closed=row.closed_at is not None,
                epoch=now,
            )
        )
    return found


class _ConversationRow(msgspec.Struct):
    id: int
    kind: str
    name: str | None
    title: str | None
    lobby: int
    join_policy: str
    low_user: int | None
    high_user: int | None
    last_seq: int
    last_ordinal: int
    last_message_id: int | None
    member_count: int
    created_at: int
    closed_at: int | None
    read_seq: int | None
    read_ordinal: int | None
    delivered_seq: int | None

    def peer_of(self, user_id: UserId) -> int | None:
        """The other one of a direct conversation; of one with oneself, oneself."""
        return self.high_user if self.low_user == user_id else self.low_user


def size(connection: Connection, conversation_id: ConversationId) -> tuple[bool, int]:
    """(is it the lobby, how many members it has by a row)."""
    statement = select(_c.lobby, _c.member_count).where(_c.id == conversation_id)
    row = connection.execute(statement).one_or_none()
    return (False, 0) if row is None else (bool(row.lobby), row.member_count)


def count_accounts(connection: Connection) -> int:
    """Who is in the lobby."""
    u = users.c
    statement = select(func.count()).select_from(users).where(u.guest.is_(False), u.deactivated_at.is_(None))
    return connection.execute(statement).scalar_one()


def people(connection: Connection, ids: Sequence[int]) -> Mapping[int | None, dict[str, object]]:
    """User shapes by id."""
    if not ids:
        return {}
    return {row[0]: user_shape(row) for row in _PEOPLE.rows(connection, ids=ids)}


def user_shape(row: Row) -> dict[str, object]:
    """A User as the protocol shows it, from the columns of `user_rows`."""
    id_, username, display_name, role, guest, created_at = row[:6]
    return {
        "id": str(id_),
        "username": username,
        "display_name": display_name,
        "role": role,
        "guest": bool(guest),
        "created_at": rfc3339(created_at),
    }


def views_for(
    connection: Connection, conversation_id: ConversationId, roles: Mapping[UserId, Role]
) -> dict[UserId, SeenConversation]:
    """What each of several members sees of one conversation; three questions more than for one of them."""
    nobody = UserId(0)
    shared = views(connection, nobody, [Seat(conversation_id, Role.MEMBER)], count_accounts)[0]
    marked = {row[0]: row[1:] for row in _MARKED.rows(connection, conversation=conversation_id, users=list(roles))}
    both = connection.execute(select(_c.low_user, _c.high_user).where(_c.id == conversation_id)).one()
    known = people(connection, [user for user in both if user is not None])
    found = {}
    for user, role in roles.items():
        read_seq, read_ordinal, delivered_seq = marked.get(user, (0, 0, 0))
        found[user] = msgspec.structs.replace(
            shared,
            role=role.value,
            read_seq=read_seq,
            delivered_seq=delivered_seq,
            unread=max(0, shared.unread - read_ordinal),
            peer=known.get(both.high_user if both.low_user == user else both.low_user),
        )
    return found


# Finding one


def find_direct(connection: Connection, one: UserId, other: UserId) -> ConversationId | None:
    low, high = pair(one, other)
    statement = select(_c.id).where(_c.low_user == low, _c.high_user == high)
    return connection.execute(statement).scalar_one_or_none()


def open_rooms(connection: Connection, user_id: UserId, begins: str, after: str | None, limit: int) -> list[Room]:
    """The directory by name: rooms that anybody may join, but for the lobby, in which everybody is."""
    if not holdable(begins, after or ""):
        return []
    pattern = re.sub(r"([/%_])", r"/\1", begins.lower()) + "%"
    rows = _ROOMS.rows(connection, user=user_id, begins=pattern, after=after or "", limit=limit)
    return [Room(id_, name, title, count, joined is not None) for id_, name, title, count, joined in rows]
