"""Making a conversation: its row, its first entries, its members and their marks, in one transaction or not at all."""

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection, func, insert, select

from parley.protocol import bodies
from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, ConversationKind, EntryKind, JoinPolicy, Role, UserId, pair
from parley.store.sql.fetch import Query, one_of
from parley.store.sql.now import moment
from parley.store.tables import conversations, entries, marks, members, users

_u = users.c
_NAMES = Query(
    select(_u.id, _u.display_name).where(_u.id.in_(one_of("users")), _u.deactivated_at.is_(None), _u.guest.is_(False))
)


class Founder(msgspec.Struct, frozen=True):
    """The first entry of a conversation is the founder's own joining; it carries the command's client_id, and so
    UNIQUE(actor, client_id) keeps the conversation from being made twice."""

    user_id: UserId
    client_id: str


class Plan(msgspec.Struct, frozen=True):
    """What to make."""

    kind: ConversationKind
    name: str | None
    title: str | None
    join_policy: JoinPolicy


def names(connection: Connection, wanted: Sequence[UserId]) -> dict[UserId, str]:
    """Display names of those of `wanted` that are living accounts and not guests."""
    return {UserId(id_): name for id_, name in _NAMES.rows(connection, users=wanted)}


def earlier(connection: Connection, founder: Founder) -> tuple[ConversationId, int] | None:
    """(conversation, time) of whatever this client_id did before."""
    e = entries.c
    row = connection.execute(
        select(e.conversation_id, e.at).where(e.actor_id == founder.user_id, e.client_id == founder.client_id)
    ).one_or_none()
    return (ConversationId(row.conversation_id), row.at) if row else None


def name_taken(connection: Connection, name: str) -> bool:
    return connection.execute(select(conversations.c.id).where(conversations.c.name == name)).first() is not None


def count_rooms(connection: Connection) -> int:
    """Living rooms and groups. Directs do not count: they are bounded by the pairs of users."""
    c = conversations.c
    statement = (
        select(func.count())
        .select_from(conversations)
        .where(c.kind != ConversationKind.DIRECT.value, c.lobby.is_(False), c.closed_at.is_(None))
    )
    return connection.execute(statement).scalar_one()


def found(
    connection: Connection,
    plan: Plan,
    founder: Founder,
    others: Sequence[UserId],
    called: dict[UserId, str],
    next_id: Callable[[], int],
    new_client_id: Callable[[], str],
    at: int,
) -> tuple[ConversationId, list[Entry]]:
    """Make a room or a group with its founder as owner and `others` as members; `called` has everybody's display name.

    IntegrityError: somebody was faster with the name or the client_id.
    """
    joiners = [founder.user_id, *others]
    conversation_id = _insert_conversation(connection, plan, at, last_seq=len(joiners), member_count=len(joiners))
    joined = [
        _joined(conversation_id, seq, user, founder, called[user], new_client_id, at)
        for seq, user in enumerate(joiners, 1)
    ]
    connection.execute(
        insert(entries),
        [
            {
                "id": next_id(),
                "conversation_id": conversation_id,
                "seq": entry.seq,
                "ordinal": 0,
                "kind": int(entry.kind),
                "actor_id": entry.by,
                "client_id": entry.client_id,
                "at": at,
                "user_id": entry.user_id,
                "body": entry.body.decode(),
            }
            for entry in joined
        ],
    )
    _seat(connection, conversation_id, {user: seq for seq, user in enumerate(joiners, 1)}, founder.user_id, at)
    connection.execute(
        insert(marks),
        [
            {
                "user_id": user,
                "conversation_id": conversation_id,
                "read_seq": seq,
                "read_ordinal": 0,
                "delivered_seq": seq,
            }
            for seq, user in enumerate(joiners, 1)
        ],
    )
    return conversation_id, joined


def found_direct(connection: Connection, one: UserId, other: UserId, at: int) -> ConversationId:
    """Make the direct conversation of two users, or of one with oneself. IntegrityError: it is there already."""
    low, high = pair(one, other)
    both = {low: 0, high: 0}
    plan = Plan(ConversationKind.DIRECT, None, None, JoinPolicy.INVITE)
    conversation_id = _insert_conversation(connection, plan, at, low_user=low, high_user=high, member_count=len(both))
    _seat(connection, conversation_id, both, None, at)
    return conversation_id


def _insert_conversation(connection: Connection, plan: Plan, at: int, **values: int) -> ConversationId:
    made = connection.execute(
        insert(conversations).values(
            kind=plan.kind.value,
            name=plan.name,
            title=plan.title,
            join_policy=plan.join_policy.value,
            created_at=at,
            changed_at=moment(connection, at),
            **values,
        )
    )
    key = made.inserted_primary_key
    assert key is not None
    return ConversationId(key[0])


def _seat(
    connection: Connection, conversation_id: ConversationId, joined: dict[UserId, int], owner: UserId | None, at: int
) -> None:
    rows = [
        {
            "conversation_id": conversation_id,
            "user_id": user,
            "role": (Role.OWNER if user == owner else Role.MEMBER).value,
            "joined_seq": seq,
        }
        for user, seq in joined.items()
    ]
    # By the clock by which other nodes ask who has come in.
    connection.execute(insert(members).values(joined_at=moment(connection, at)), rows)


def _joined(
    conversation_id: ConversationId,
    seq: int,
    user: UserId,
    founder: Founder,
    name: str,
    new_client_id: Callable[[], str],
    at: int,
) -> Entry:
    first = user == founder.user_id
    return Entry(
        conversation_id=conversation_id,
        seq=seq,
        kind=EntryKind.MEMBER_JOINED,
        by=founder.user_id,
        client_id=founder.client_id if first else new_client_id(),
        at=at,
        ordinal=0,
        body=bodies.member(user, name, Role.OWNER if first else Role.MEMBER),
        user_id=user,
    )
