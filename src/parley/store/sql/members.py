"""Who is in a conversation, and who has one in common."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, bindparam, select

from parley.protocol.types import ConversationId, Role, UserId
from parley.store.sql.access import lobby_role
from parley.store.sql.conversations import MOST_IDS, user_rows, user_shape
from parley.store.sql.fetch import Query, one_of
from parley.store.tables import conversations, members, users

_u = users.c
_m = members.c


_account = _u.guest.is_(False) & _u.deactivated_at.is_(None)
_here = _m.conversation_id == bindparam("conversation")
_theirs = members.alias("theirs")
_LOBBY = select(conversations.c.lobby).where(conversations.c.id == bindparam("conversation"))
_PAGE = Query(
    user_rows()
    .add_columns(_m.role.label("member_role"), _m.joined_at)
    .join_from(members, users, _u.id == _m.user_id)
    .where(_here, _m.user_id > bindparam("after"))
    .order_by(_m.user_id)
    .limit(bindparam("limit"))
)
_LOBBY_PAGE = Query(user_rows().where(_u.id > bindparam("after"), _account).order_by(_u.id).limit(bindparam("limit")))
_IDS = Query(select(_m.user_id).where(_here).order_by(_m.user_id))
_ACCOUNTS = Query(select(_u.id).where(_account).order_by(_u.id))
_ROLES = Query(select(_m.user_id, _m.role).where(_here, _m.user_id.in_(one_of("users"))))
_WITH_LOBBY = Query(select(_u.id).where(_u.id.in_(one_of("users")), _account))
_SHARING = Query(
    select(_theirs.c.user_id)
    .distinct()
    .join_from(members, _theirs, _theirs.c.conversation_id == _m.conversation_id)
    .where(_m.user_id == bindparam("user"), _theirs.c.user_id.in_(one_of("others")))
)


class Member(msgspec.Struct, frozen=True):
    """`user` is a User as the protocol shows it."""

    user: dict[str, object]
    role: Role
    joined_at: int


def page(connection: Connection, conversation_id: ConversationId, after: int, limit: int) -> list[Member]:
    """Members with an id above `after`, by id."""
    rows = _PAGE.rows(connection, conversation=conversation_id, after=after, limit=limit)
    return [Member(user_shape(row), Role(row[6]), row[7]) for row in rows]


def lobby_page(connection: Connection, after: int, limit: int) -> list[Member]:
    """The same for the lobby: every account that is not a guest's has been in it since it was made."""
    rows = _LOBBY_PAGE.rows(connection, after=after, limit=limit)
    return [
        Member(user_shape(row), lobby_role(row[3], guest=False, active=True) or Role.MEMBER, row[5]) for row in rows
    ]


def ids(connection: Connection, conversation_id: ConversationId) -> list[UserId]:
    """Everybody in it."""
    if connection.execute(_LOBBY, {"conversation": conversation_id}).scalar():
        rows = _ACCOUNTS.rows(connection)
    else:
        rows = _IDS.rows(connection, conversation=conversation_id)
    return [UserId(row[0]) for row in rows]


def roles(connection: Connection, conversation_id: ConversationId, wanted: Sequence[UserId]) -> dict[UserId, Role]:
    """The roles of those of `wanted` that are members by a row (not the lobby's)."""
    found: dict[UserId, Role] = {}
    for start in range(0, len(wanted), MOST_IDS):
        part = wanted[start : start + MOST_IDS]
        rows = _ROLES.rows(connection, conversation=conversation_id, users=part)
        found.update((UserId(user), Role(role)) for user, role in rows)
    return found


def sharing(connection: Connection, user_id: UserId, others: Sequence[UserId]) -> set[UserId]:
    """Those of `others` with whom the user has a conversation in common; all who are not guests have the lobby."""
    found: set[UserId] = set()
    for start in range(0, len(others), MOST_IDS):
        part = others[start : start + MOST_IDS]
        in_lobby = {UserId(row[0]) for row in _WITH_LOBBY.rows(connection, users=[*part, user_id])}
        if user_id in in_lobby:
            found |= in_lobby.intersection(part)
        if rest := [other for other in part if other not in found]:
            found.update(UserId(row[0]) for row in _SHARING.rows(connection, user=user_id, others=rest))
    return found
