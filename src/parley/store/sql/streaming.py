"""How far a stream of the log is with each conversation, and what it still lacks. By conversation and seq, never by the
order of ids: transactions do not commit in that order."""

from collections.abc import Collection, Mapping

import msgspec
from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from parley.protocol.events import Entry
from parley.protocol.types import ConversationId
from parley.store.cluster_tables import stream_cursors
from parley.store.sql.history import log_page
from parley.store.tables import conversations

_c = conversations.c
_s = stream_cursors.c


class Behind(msgspec.Struct, frozen=True):
    """The topic has the conversation's entries up to `seq`, and the log up to `head`."""

    conversation_id: ConversationId
    seq: int
    head: int


def behind(
    connection: Connection,
    topic: str,
    *,
    after: int = 0,
    limit: int,
    changed_since: int | None = None,
    among: Collection[int] | None = None,
) -> list[Behind]:
    """Conversations with id > `after` whose log goes further than the topic, by id. `changed_since`: by the database's
    clock, and only where it keeps `changed_at`."""
    own_cursor = and_(_s.topic == topic, _s.conversation_id == _c.id)
    streamed = func.coalesce(_s.seq, 0)
    question = (
        select(_c.id, streamed, _c.last_seq)
        .select_from(conversations.outerjoin(stream_cursors, own_cursor))
        .where(_c.last_seq > streamed, _c.id > after)
        .order_by(_c.id)
        .limit(limit)
    )
    if changed_since is not None:
        question = question.where(_c.changed_at >= changed_since)
    if among is not None:
        question = question.where(_c.id.in_(among))
    return [Behind(ConversationId(id_), seq, head) for id_, seq, head in connection.execute(question)]


def entries_behind(
    connection: Connection, of: Collection[Behind], *, each: int, limit: int, max_bytes: int
) -> list[Entry]:
    """What comes next in these conversations, at most `each` of one; the last may end before its head."""
    found: list[Entry] = []
    size = 0
    for one in of:
        page = log_page(connection, one.conversation_id, one.seq, one.head, min(each, limit - len(found)), max_bytes)
        found += page
        size += sum(len(entry.body) for entry in page)
        if len(found) >= limit or size >= max_bytes:
            break
    return found


def advance(connection: Connection, topic: str, cursors: Mapping[ConversationId, int]) -> None:
    """Forward only: one who streams although another does by now must not turn the other back."""
    known = set(
        connection.scalars(select(_s.conversation_id).where(_s.topic == topic, _s.conversation_id.in_(cursors)))
    )
    moved = [{"of": one, "to": seq} for one, seq in cursors.items() if one in known]
    begun = [{"topic": topic, "conversation_id": one, "seq": seq} for one, seq in cursors.items() if one not in known]
    if moved:
        here = (_s.topic == topic, _s.conversation_id == bindparam("of"), _s.seq < bindparam("to"))
        connection.execute(update(stream_cursors).where(*here).values(seq=bindparam("to")), moved)
    if begun:
        connection.execute(insert(stream_cursors), begun)
