"""The log and the messages of a conversation, page by page, by key over (conversation, seq): no OFFSET, no COUNT."""

from sqlalchemy import Connection, bindparam, select

from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, EntryKind
from parley.protocol.wire import Message
from parley.store.sql.fetch import Query, Row
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
_in_conversation = _e.conversation_id == bindparam("conversation")
_entries = select(
    _e.seq, _e.kind, _e.actor_id, _e.at, _e.client_id, _e.ordinal, _e.body, _e.id, _e.message_id, _e.user_id
).where(_in_conversation)
_LOG = Query(
    _entries.where(_e.seq > bindparam("after"), _e.seq <= bindparam("head")).order_by(_e.seq).limit(bindparam("limit"))
)
_EVENTS = Query(
    _entries.where(_e.seq >= bindparam("low"), _e.seq <= bindparam("high"), _e.kind.in_(EVENTS))
    .order_by(_e.seq.desc())
    .limit(MOST_EVENTS)
)
_BACK = Query(
    message_rows()
    .where(_in_conversation, _e.seq <= bindparam("last"))
    .order_by(_e.seq.desc())
    .limit(bindparam("limit"))
)
_FORTH = Query(
    message_rows()
    .where(_in_conversation, _e.seq > bindparam("after"), _e.seq <= bindparam("head"))
    .order_by(_e.seq)
    .limit(bindparam("limit"))
)
_PINNED = Query(
    message_rows()
    .where(pins.c.conversation_id == bindparam("conversation"), pins.c.seq < bindparam("before"))
    .order_by(pins.c.seq.desc())
    .limit(bindparam("limit"))
)
_LAST = 2**62


def log_page(
    connection: Connection, conversation_id: ConversationId, after: int, head: int, limit: int, max_bytes: int
) -> list[Entry]:
    """Entries of (after, head]: at most `limit`, and of all but the first at most `max_bytes` of bodies."""
    page: list[Entry] = []
    size = 0
    last = after
    while last < head and len(page) < limit:
        wanted = min(STEP, limit - len(page))
        rows = _LOG.rows(connection, conversation=conversation_id, after=last, head=head, limit=wanted)
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
    rows = _EVENTS.rows(connection, conversation=conversation_id, low=low, high=high)
    return [_entry(conversation_id, row) for row in reversed(rows)]


def _entry(conversation_id: ConversationId, row: Row) -> Entry:
    seq, kind, by, at, client_id, ordinal, body, id_, message_id, user_id = row
    about = id_ if kind == EntryKind.MESSAGE_CREATED else message_id
    return Entry(conversation_id, seq, EntryKind(kind), by, client_id, at, ordinal, body.encode(), about, user_id)


def messages_up_to(connection: Connection, conversation_id: ConversationId, last: int, limit: int) -> list[Message]:
    """The newest `limit` messages with seq ≤ `last`, oldest first."""
    return build(connection, _BACK.rows(connection, conversation=conversation_id, last=last, limit=limit)[::-1])


def messages_after(
    connection: Connection, conversation_id: ConversationId, after: int, head: int, limit: int
) -> list[Message]:
    """The oldest `limit` messages of (after, head], oldest first."""
    return build(connection, _FORTH.rows(connection, conversation=conversation_id, after=after, head=head, limit=limit))


def pinned(
    connection: Connection, conversation_id: ConversationId, before: int | None, limit: int
) -> list[tuple[int, Message]]:
    """(seq of its pin, message), the last pinned first; `before` is such a seq."""
    bound = _LAST if before is None else before
    rows = _PINNED.rows(connection, conversation=conversation_id, before=bound, limit=limit)
    return [(row[-1], message) for row, message in zip(rows, build(connection, rows), strict=True)]
