"""The SQL of bots and webhooks: each function one question or change in the caller's transaction."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from parley.protocol.types import ConversationId, ServerRole, UserId
from parley.store.assistant_tables import bots, webhooks
from parley.store.sql.accounts import USER, UserRow
from parley.store.tables import users

_b, _w, _u = bots.c, webhooks.c, users.c


class BotRow(msgspec.Struct, frozen=True):
    user: UserRow
    owner_id: UserId


class WebhookRow(msgspec.Struct, frozen=True):
    id: int
    conversation_id: ConversationId
    user_id: UserId
    name: str
    created_by: UserId
    created_at: int


class Hook(msgspec.Struct, frozen=True):
    """What a post needs to know of its webhook."""

    conversation_id: ConversationId
    user_id: UserId
    name: str
    secret_hash: str


def count_bots(connection: Connection, owner: UserId) -> int:
    return connection.execute(select(func.count()).select_from(bots).where(_b.owner_id == owner)).scalar_one()


def add_bot(connection: Connection, user_id: UserId, owner: UserId, at: int) -> None:
    connection.execute(insert(bots).values(user_id=user_id, owner_id=owner, created_at=at))


def bot(connection: Connection, user_id: UserId) -> BotRow | None:
    row = connection.execute(
        select(*USER, _b.owner_id).join_from(bots, users, _u.id == _b.user_id).where(_b.user_id == user_id)
    ).one_or_none()
    return None if row is None else BotRow(UserRow(*row[:6]), UserId(row[6]))


def bots_of(connection: Connection, owner: UserId | None, after: int, limit: int) -> list[BotRow]:
    """By id; `owner` None: everybody's."""
    asked = select(*USER, _b.owner_id).join_from(bots, users, _u.id == _b.user_id).where(_b.user_id > after)
    if owner is not None:
        asked = asked.where(_b.owner_id == owner)
    rows = connection.execute(asked.order_by(_b.user_id).limit(limit))
    return [BotRow(UserRow(*row[:6]), UserId(row[6])) for row in rows]


def remove_bot(connection: Connection, user_id: UserId, at: int) -> None:
    """What it said stays, under its name, which nobody else gets."""
    connection.execute(delete(bots).where(_b.user_id == user_id))
    connection.execute(update(users).where(_u.id == user_id).values(deactivated_at=at))


def count_webhooks(connection: Connection, conversation_id: ConversationId) -> int:
    asked = select(func.count()).select_from(webhooks)
    living = asked.where(_w.conversation_id == conversation_id, _w.revoked_at.is_(None))
    return connection.execute(living).scalar_one()


def add_webhook(
    connection: Connection, conversation_id: ConversationId, key: str, name: str, secret_hash: str, by: UserId, at: int
) -> WebhookRow:
    """With an account of its own to post as, `key` being a user name that nobody could choose."""
    user = connection.execute(
        insert(users).values(
            username=key, username_key=key, display_name=name, role=ServerRole.WEBHOOK.value, guest=True, created_at=at
        )
    ).inserted_primary_key
    assert user is not None
    made = connection.execute(
        insert(webhooks).values(
            conversation_id=conversation_id, user_id=user[0], secret_hash=secret_hash, created_by=by, created_at=at
        )
    ).inserted_primary_key
    assert made is not None
    return WebhookRow(made[0], conversation_id, UserId(user[0]), name, by, at)


def webhooks_of(connection: Connection, conversation_id: ConversationId) -> Sequence[WebhookRow]:
    rows = connection.execute(
        select(_w.id, _w.conversation_id, _w.user_id, _u.display_name, _w.created_by, _w.created_at)
        .join_from(webhooks, users, _u.id == _w.user_id)
        .where(_w.conversation_id == conversation_id, _w.revoked_at.is_(None))
        .order_by(_w.id)
    )
    return [WebhookRow(*row) for row in rows]


def hook(connection: Connection, webhook_id: int) -> Hook | None:
    """None where there is none, or none any more."""
    row = connection.execute(
        select(_w.conversation_id, _w.user_id, _u.display_name, _w.secret_hash)
        .join_from(webhooks, users, _u.id == _w.user_id)
        .where(_w.id == webhook_id, _w.revoked_at.is_(None))
    ).one_or_none()
    return None if row is None else Hook(*row)


def revoke_webhook(connection: Connection, conversation_id: ConversationId, webhook_id: int, at: int) -> bool:
    living = (_w.id == webhook_id, _w.conversation_id == conversation_id, _w.revoked_at.is_(None))
    return bool(connection.execute(update(webhooks).where(*living).values(revoked_at=at)).rowcount)
