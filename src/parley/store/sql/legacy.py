"""What the older dialects ask of the store beside everybody else's questions: rooms by name, marks of being away,
guests."""

from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, bindparam, delete, exists, func, insert, or_, select, update

from parley.protocol.events import About
from parley.protocol.types import ConversationId, ConversationKind, EntryKind, JoinPolicy, MessageId, ServerRole, UserId
from parley.store.sql.fetch import Query, holdable, one_of
from parley.store.sql.now import moment
from parley.store.tables import away_marks, conversations, entries, members, users

_c = conversations.c
_ABOUT = Query(
    select(_c.id, _c.kind, _c.name, _c.title, _c.lobby, _c.low_user, _c.high_user).where(_c.id.in_(one_of("ids")))
)
_NAMES = Query(select(users.c.id, users.c.display_name).where(users.c.id.in_(one_of("ids"))))
_MARKS = Query(
    select(away_marks.c.conversation_id, away_marks.c.seq).where(
        away_marks.c.user_id == bindparam("user"), away_marks.c.dialect == bindparam("dialect")
    )
)

_JOINED = Query(
    select(members.c.conversation_id, members.c.joined_seq).where(
        members.c.user_id == bindparam("user"), members.c.conversation_id.in_(one_of("ids"))
    )
)

SWEPT_AT_ONCE = 500


class RoomRow(msgspec.Struct, frozen=True):
    """A room as a door sees it."""

    id: ConversationId
    join_policy: str
    lobby: bool
    closed: bool


def room_named(connection: Connection, name: str) -> RoomRow | None:
    if not holdable(name):
        return None
    row = connection.execute(
        select(_c.id, _c.join_policy, _c.lobby, _c.closed_at).where(
            _c.name == name, _c.kind == ConversationKind.ROOM.value, _c.closed_at.is_(None)
        )
    ).one_or_none()
    return RoomRow(row.id, row.join_policy, bool(row.lobby), row.closed_at is not None) if row else None


def make_room(connection: Connection, name: str, at: int) -> ConversationId:
    """An open room without an owner. IntegrityError: somebody was faster with the name."""
    made = connection.execute(
        insert(conversations).values(
            kind=ConversationKind.ROOM.value,
            name=name,
            join_policy=JoinPolicy.OPEN.value,
            lobby=False,
            created_at=at,
            changed_at=moment(connection, at),
        )
    ).inserted_primary_key
    assert made is not None
    return ConversationId(made[0])


def is_member(connection: Connection, conversation_id: ConversationId, user_id: UserId) -> bool:
    m = members.c
    statement = select(m.user_id).where(m.conversation_id == conversation_id, m.user_id == user_id)
    return connection.execute(statement).first() is not None


def about(connection: Connection, ids: Sequence[ConversationId]) -> dict[ConversationId, About]:
    """What frames say of these conversations."""
    found = _ABOUT.rows(connection, ids=ids) if ids else []
    return {
        ConversationId(id_): About(
            ConversationId(id_), kind, name, title, bool(lobby), None if low is None else (low, high)
        )
        for id_, kind, name, title, lobby, low, high in found
    }


def names(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Display names, of guests too."""
    return {row[0]: row[1] for row in _NAMES.rows(connection, ids=ids)} if ids else {}


def seq_of(connection: Connection, conversation_id: ConversationId, message_id: MessageId) -> int | None:
    e = entries.c
    statement = select(e.seq).where(
        e.id == message_id, e.conversation_id == conversation_id, e.kind == EntryKind.MESSAGE_CREATED
    )
    return connection.execute(statement).scalar_one_or_none()


# Being away


def marks_of(connection: Connection, user_id: UserId, dialect: str) -> dict[ConversationId, int]:
    return {ConversationId(row[0]): row[1] for row in _MARKS.rows(connection, user=user_id, dialect=dialect)}


def joined(connection: Connection, user_id: UserId, ids: Sequence[ConversationId]) -> dict[ConversationId, int]:
    rows = _JOINED.rows(connection, user=user_id, ids=ids) if ids else []
    return {ConversationId(row[0]): row[1] for row in rows}


def move_marks(connection: Connection, user_id: UserId, dialect: str, to: Mapping[ConversationId, int]) -> None:
    """Forward only. The rows are few: one for each conversation that had something new."""
    a = away_marks.c
    for conversation, seq in to.items():
        key = (a.user_id == user_id, a.dialect == dialect, a.conversation_id == conversation)
        changed = connection.execute(update(away_marks).where(*key, a.seq < seq).values(seq=seq))
        if changed.rowcount == 0 and connection.execute(select(a.seq).where(*key)).first() is None:
            row = {"user_id": user_id, "dialect": dialect, "conversation_id": conversation, "seq": seq}
            connection.execute(insert(away_marks).values(row))


# Guests


def name_is_taken(connection: Connection, name: str, name_key: str) -> bool:
    """Whether an account (not a guest) goes by this name."""
    if not holdable(name, name_key):
        return False
    u = users.c
    statement = select(u.id).where(
        u.guest.is_(False),
        or_(u.username_key == name_key, u.display_name == name, func.lower(u.display_name) == name_key),
    )
    return connection.execute(statement).first() is not None


def make_guest(connection: Connection, key: str, name: str, at: int) -> UserId:
    """`key` is unique and no name anybody could choose."""
    made = connection.execute(
        insert(users).values(
            username=key, username_key=key, display_name=name, role=ServerRole.MEMBER.value, guest=True, created_at=at
        )
    ).inserted_primary_key
    assert made is not None
    return UserId(made[0])


def sweep_guests(connection: Connection, before: int, but: Collection[UserId] = ()) -> int:
    """Remove guests made before then who never got a message stored, but these. Returns how many."""
    u = users.c
    wrote = exists().where(entries.c.actor_id == u.id)
    # A webhook posts as an account that is a guest's in all but this: it may be used much later for the first time.
    unused = select(u.id).where(u.guest.is_(True), u.created_at < before, u.role != ServerRole.WEBHOOK.value, ~wrote)
    gone = [user for (user,) in connection.execute(unused) if user not in but]
    for start in range(0, len(gone), SWEPT_AT_ONCE):
        connection.execute(delete(users).where(u.id.in_(gone[start : start + SWEPT_AT_ONCE])))
    return len(gone)
