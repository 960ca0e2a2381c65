"""What is known of one message beside what it says: its earlier writings, and who has got and read it."""

from typing import Any

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, and_, bindparam, or_, select

from parley.protocol.types import ConversationId, EntryKind, MessageId, UserId
from parley.store.sql.fetch import Query, Row
from parley.store.tables import entries, marks, members, users

_e = entries.c
_of_message = bindparam("message", type_=BigInteger)
_TEXTS = (EntryKind.MESSAGE_EDITED, EntryKind.MESSAGE_COMPLETED)
_PLACE = select(_e.seq, _e.actor_id, _e.deleted).where(
    _e.id == _of_message,
    _e.conversation_id == bindparam("conversation"),
    _e.kind == EntryKind.MESSAGE_CREATED,
    _e.seq.is_not(None),
)
_WRITINGS = Query(
    select(_e.seq, _e.actor_id, _e.at, _e.kind, _e.body)
    .where(
        or_(_e.id == _of_message, and_(_e.message_id == _of_message, _e.kind.in_(_TEXTS))),
        _e.seq > bindparam("after"),
    )
    .order_by(_e.seq)
    .limit(bindparam("limit"))
)


def _marked(position: ColumnElement[int], *, lobby: bool) -> Query:
    """Members of a conversation, or accounts in the lobby, whose mark is at `seq` or beyond."""
    u, m, k = users.c, members.c, marks.c
    present: tuple[Any, ColumnElement[bool]] = (
        (users, and_(u.id == k.user_id, u.guest.is_(False), u.deactivated_at.is_(None)))
        if lobby
        else (members, and_(m.conversation_id == k.conversation_id, m.user_id == k.user_id))
    )
    return Query(
        select(k.user_id)
        .join_from(marks, *present)
        .where(
            k.conversation_id == bindparam("conversation"),
            position >= bindparam("seq"),
            k.user_id != bindparam("writer"),
        )
        .order_by(k.user_id)
        .limit(bindparam("limit"))
    )


_MARKED = {
    (read, lobby): _marked(marks.c.read_seq if read else marks.c.delivered_seq, lobby=lobby)
    for read in (False, True)
    for lobby in (False, True)
}


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
    row = connection.execute(_PLACE, {"message": message_id, "conversation": conversation_id}).one_or_none()
    return Place(seq=row.seq, by=UserId(row.actor_id), deleted=row.deleted) if row else None


def writings(connection: Connection, message_id: MessageId, after: int, limit: int) -> list[Writing]:
    """The texts of a message with seq > `after`, the first first. Of one that grew, the first is the one it grew to."""
    rows = _WRITINGS.rows(connection, message=message_id, after=after, limit=limit + 1)
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
    found = _MARKED[read, lobby].rows(connection, conversation=conversation_id, seq=seq, writer=but, limit=limit)
    return [UserId(row[0]) for row in found]
