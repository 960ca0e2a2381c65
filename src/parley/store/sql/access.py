"""May this user read this conversation, now? Asked in the same transaction as what is then read."""

from typing import NoReturn

import msgspec
from sqlalchemy import Connection, and_, bindparam, select

from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ConversationId, ConversationKind, JoinPolicy, Role, ServerRole, UserId
from parley.store.sql.fetch import EPOCH
from parley.store.tables import conversations, members, users


class Standing(msgspec.Struct, frozen=True):
    """What a conversation is, and what one user is in it; `role` None: not a member."""

    id: ConversationId
    kind: ConversationKind
    join_policy: JoinPolicy
    lobby: bool
    head: int
    role: Role | None
    epoch: str


def lobby_role(role: str, *, guest: bool, active: bool) -> Role | None:
    """An account's role in the lobby, where membership is implied: everybody's but the guests'."""
    if guest or not active:
        return None
    return Role.ADMIN if role == ServerRole.ADMIN else Role.MEMBER


_c = conversations.c
_STANDING = (
    select(
        _c.kind, _c.join_policy, _c.lobby, _c.last_seq, members.c.role,
        users.c.role.label("server_role"), users.c.guest, users.c.deactivated_at, EPOCH.label("epoch"),
    )
    .outerjoin_from(
        conversations, members, and_(members.c.conversation_id == _c.id, members.c.user_id == bindparam("user"))
    )
    .outerjoin(users, and_(_c.lobby.is_(True), users.c.id == bindparam("user")))
    .where(_c.id == bindparam("conversation"))
)  # fmt: skip


def standing(connection: Connection, conversation_id: ConversationId, user_id: UserId) -> Standing | None:
    """None if there is no such conversation."""
    row = connection.execute(_STANDING, {"conversation": conversation_id, "user": user_id}).one_or_none()
    if row is None:
        return None
    role = Role(row.role) if row.role else None
    if row.lobby and row.server_role:
        role = lobby_role(row.server_role, guest=row.guest, active=row.deactivated_at is None)
    return Standing(
        id=conversation_id,
        kind=ConversationKind(row.kind),
        join_policy=JoinPolicy(row.join_policy),
        lobby=row.lobby,
        head=row.last_seq,
        role=role,
        epoch=row.epoch,
    )


def enter(connection: Connection, conversation_id: ConversationId, user_id: UserId) -> Standing:
    """The standing of a member. Raises ChatError for everybody else."""
    found = standing(connection, conversation_id, user_id)
    if found is None:
        raise ChatError(Code.UNKNOWN_CONVERSATION)
    if found.role is None:
        refuse_stranger(found.kind, found.join_policy)
    return found


def refuse_stranger(kind: str, join_policy: str) -> NoReturn:
    """Of a private conversation a stranger does not even learn that it exists."""
    listed = kind == ConversationKind.ROOM and join_policy == JoinPolicy.OPEN
    raise ChatError(Code.NOT_A_MEMBER if listed else Code.UNKNOWN_CONVERSATION)
