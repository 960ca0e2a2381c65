"""What is known of one message beside what it says: its earlier writings, and who has got and read it."""

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from parley.protocol.types import ConversationId, EntryKind, MessageId, UserId
from parley.store.sql.fetch import Row, fetch
from parley.store.tables import entries, marks, members, users

_e = entries.c


class Place(msgspec.Struct, frozen=True):
    """Where a message stands."""

    seq: int
    by: UserId
    deleted: bool


class Writing(msgspec.Struct, frozen=True):
    """One of the texts a message has had."""

    seq: int
    by: UserId
    at: int
    text: str | None


class _Text(msgspec.Struct):
    text: str | None = None


class _Message(msgspec.Struct):
    message: _Text


def place(connection: Connection, conversation_id: ConversationId, message_id: MessageId) -> Place | None:
    """None if the conversation has no such message."""
    row = connection.execute(
        select(_e.seq, _e.actor_id, _e.deleted).where(
            _e.id == message_id,
            _e.conversation_id == conversation_id,
            _e.kind == EntryKind.MESSAGE_CREATED,
            _e.seq.is_not(None),
        )
    ).one_or_none()
    return Place(seq=row.seq, by=UserId(row.actor_id), deleted=row.deleted) if row else None


def writings(connection: Connection, message_id: MessageId, after: int, limit: int) -> list[Writing]:
    """The texts of a message with seq > `after`, the first first. Of one that grew, the first is the one it grew to."""
    kinds = (EntryKind.MESSAGE_EDITED, EntryKind.MESSAGE_COMPLETED)
    statement = (
        select(_e.seq, _e.actor_id, _e.at, _e.kind, _e.body)
        .where(or_(_e.id == message_id, and_(_e.message_id == message_id, _e.kind.in_(kinds))), _e.seq > after)
        .order_by(_e.seq)
        .limit(limit + 1)
    )
    rows = fetch(connection, statement)
    grew = any(row[3] == EntryKind.MESSAGE_COMPLETED for row in rows)
    return [_writing(row) for row in rows if not (grew and row[3] == EntryKind.MESSAGE_CREATED)][:limit]


def _writing(row: Row) -> Writing:
    seq, by, at, kind, body = row
    if kind == EntryKind.MESSAGE_CREATED:
        text = msgspec.json.decode(body, type=_Message).message.text
    else:
        text = msgspec.json.decode(body, type=_Text).text
    return Writing(seq=seq, by=by, at=at, text=text)


def marked_beyond(
    connection: Connection,
    conversation_id: ConversationId,
    seq: int,
    *,
    read: bool,
    but: UserId,
    lobby: bool,
    limit: int,
) -> list[UserId]:
    """Members who have read (or, `read` False, been delivered) the entry `seq`, in the order of their ids."""
    position = marks.c.read_seq if read else marks.c.delivered_seq
    present: ColumnElement[bool]
    who: Any
    if lobby:
        who, present = (
            users,
            and_(users.c.id == marks.c.user_id, users.c.guest.is_(False), users.c.deactivated_at.is_(None)),
        )
    else:
        same = members.c.conversation_id == marks.c.conversation_id
        who, present = members, and_(same, members.c.user_id == marks.c.user_id)
    statement = (
        select(marks.c.user_id)
        .join_from(marks, who, present)
        .where(marks.c.conversation_id == conversation_id, position >= seq, marks.c.user_id != but)
        .order_by(marks.c.user_id)
        .limit(limit)
    )
    return [row[0] for row in fetch(connection, statement)]
