"""Who is in a conversation, and who has one in common."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, select

from parley.protocol.types import ConversationId, Role, UserId
from parley.store.sql.access import lobby_role
from parley.store.sql.conversations import MOST_IDS, user_rows, user_shape
from parley.store.sql.fetch import fetch
from parley.store.tables import conversations, members, users

_u = users.c
_m = members.c


class Member(msgspec.Struct, frozen=True):
    """`user` is a User as the protocol shows it."""

    user: dict[str, object]
    role: Role
    joined_at: int


def page(connection: Connection, conversation_id: ConversationId, after: int, limit: int) -> list[Member]:
    """Members with an id above `after`, by id."""
    statement = (
        user_rows()
        .add_columns(_m.role.label("member_role"), _m.joined_at)
        .join_from(members, users, _u.id == _m.user_id)
        .where(_m.conversation_id == conversation_id, _m.user_id > after)
        .order_by(_m.user_id)
        .limit(limit)
    )
    return [Member(user_shape(row), Role(row[6]), row[7]) for row in fetch(connection, statement)]


def lobby_page(connection: Connection, after: int, limit: int) -> list[Member]:
    """The same for the lobby: every account that is not a guest's has been in it since it was made."""
    statement = (
        user_rows().where(_u.id > after, _u.guest.is_(False), _u.deactivated_at.is_(None)).order_by(_u.id).limit(limit)
    )
    rows = fetch(connection, statement)
    return [
        Member(user_shape(row), lobby_role(row[3], guest=False, active=True) or Role.MEMBER, row[5]) for row in rows
    ]


def ids(connection: Connection, conversation_id: ConversationId) -> list[UserId]:
    lobby = connection.execute(select(conversations.c.lobby).where(conversations.c.id == conversation_id)).scalar()
    if lobby:
        statement = select(_u.id).where(_u.guest.is_(False), _u.deactivated_at.is_(None)).order_by(_u.id)
    else:
        statement = select(_m.user_id).where(_m.conversation_id == conversation_id).order_by(_m.user_id)
    return [UserId(row[0]) for row in fetch(connection, statement)]


def roles(connection: Connection, conversation_id: ConversationId, wanted: Sequence[UserId]) -> dict[UserId, Role]:
    """The roles of those of `wanted` that are members by a row (not the lobby's)."""
    found: dict[UserId, Role] = {}
    for start in range(0, len(wanted), MOST_IDS):
        part = wanted[start : start + MOST_IDS]
        statement = select(_m.user_id, _m.role).where(_m.conversation_id == conversation_id, _m.user_id.in_(part))
        found.update((UserId(user), Role(role)) for user, role in fetch(connection, statement))
    return found


def sharing(connection: Connection, user_id: UserId, others: Sequence[UserId]) -> set[UserId]:
    """Those of `others` with whom the user has a conversation in common; all who are not guests have the lobby."""
    found: set[UserId] = set()
    for start in range(0, len(others), MOST_IDS):
        part = others[start : start + MOST_IDS]
        accounts = select(_u.id).where(_u.id.in_([*part, user_id]), _u.guest.is_(False), _u.deactivated_at.is_(None))
        in_lobby = {UserId(row[0]) for row in fetch(connection, accounts)}
        if user_id in in_lobby:
            found |= in_lobby.intersection(part)
        rest = [other for other in part if other not in found]
        if rest:
            theirs = members.alias("theirs")
            statement = (
                select(theirs.c.user_id)
                .distinct()
                .join_from(members, theirs, theirs.c.conversation_id == _m.conversation_id)
                .where(_m.user_id == user_id, theirs.c.user_id.in_(rest))
            )
            found.update(UserId(row[0]) for row in fetch(connection, statement))
    return found
