"""The log and the messages of a conversation, page by page, by key over (conversation, seq): no OFFSET, no COUNT."""

from typing import Any

from sqlalchemy import Connection, Select, select

from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, EntryKind
from parley.protocol.wire import Message
from parley.store.sql.fetch import Row, fetch
from parley.store.sql.messages import build, message_rows
from parley.store.tables import entries, pins

STEP = 100
"""Rows per question. A page ends at its bytes, and what was read beyond them is thrown away: not more than this."""

EVENTS = (
    EntryKind.MEMBER_JOINED,
    EntryKind.MEMBER_CHANGED,
    EntryKind.MEMBER_LEFT,
    EntryKind.CONVERSATION_CHANGED,
    EntryKind.CONVERSATION_CLOSED,
)
MOST_EVENTS = 500
"""Beside one page of messages: the newest. The log has them all."""

_e = entries.c


def log_page(
    connection: Connection, conversation_id: ConversationId, after: int, head: int, limit: int, max_bytes: int
) -> list[Entry]:
    """Entries of (after, head]: at most `limit`, and of all but the first at most `max_bytes` of bodies."""
    page: list[Entry] = []
    size = 0
    last = after
    while last < head and len(page) < limit:
        wanted = min(STEP, limit - len(page))
        statement = _log(conversation_id).where(_e.seq > last, _e.seq <= head).order_by(_e.seq).limit(wanted)
        rows = fetch(connection, statement)
        for row in rows:
            entry = _entry(conversation_id, row)
            size += len(entry.body)
            if page and size > max_bytes:
                return page
            page.append(entry)
        if len(rows) < wanted:
            return page
        last = page[-1].seq
    return page


def events_between(connection: Connection, conversation_id: ConversationId, low: int, high: int) -> list[Entry]:
    """The newest `MOST_EVENTS` entries of [low, high] about members or the conversation itself, in log order."""
    statement = (
        _log(conversation_id)
        .where(_e.seq >= low, _e.seq <= high, _e.kind.in_(EVENTS))
        .order_by(_e.seq.desc())
        .limit(MOST_EVENTS)
    )
    return [_entry(conversation_id, row) for row in reversed(fetch(connection, statement))]


def _log(conversation_id: ConversationId) -> Select[Any]:
    return select(
        _e.seq, _e.kind, _e.actor_id, _e.at, _e.client_id, _e.ordinal, _e.body, _e.id, _e.message_id, _e.user_id
    ).where(_e.conversation_id == conversation_id)


def _entry(conversation_id: ConversationId, row: Row) -> Entry:
    seq, kind, by, at, client_id, ordinal, body, id_, message_id, user_id = row
    about = id_ if kind == EntryKind.MESSAGE_CREATED else message_id
    return Entry(conversation_id, seq, EntryKind(kind), by, client_id, at, ordinal, body.encode(), about, user_id)


def messages_up_to(connection: Connection, conversation_id: ConversationId, last: int, limit: int) -> list[Message]:
    """The newest `limit` messages with seq ≤ `last`, oldest first."""
    statement = message_rows().where(_e.conversation_id == conversation_id, _e.seq <= last)
    return build(connection, fetch(connection, statement.order_by(_e.seq.desc()).limit(limit))[::-1])


def messages_after(
    connection: Connection, conversation_id: ConversationId, after: int, head: int, limit: int
) -> list[Message]:
    """The oldest `limit` messages of (after, head], oldest first."""
    statement = message_rows().where(_e.conversation_id == conversation_id, _e.seq > after, _e.seq <= head)
    return build(connection, fetch(connection, statement.order_by(_e.seq).limit(limit)))


def pinned(
    connection: Connection, conversation_id: ConversationId, before: int | None, limit: int
) -> list[tuple[int, Message]]:
    """(seq of its pin, message), the last pinned first; `before` is such a seq."""
    statement = message_rows().where(pins.c.conversation_id == conversation_id)
    if before is not None:
        statement = statement.where(pins.c.seq < before)
    rows = fetch(connection, statement.order_by(pins.c.seq.desc()).limit(limit))
    return [(row[-1], message) for row, message in zip(rows, build(connection, rows), strict=True)]
