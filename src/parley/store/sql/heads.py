"""What a node asks to find out what others have written: the fan-out is a hint and may be lost, the store is not.

An entry can be seen up to `OVERLAP_MS` after its `changed_at`, which is when its statement ran and not when it was
committed. So whoever asks again goes back by more than that from the last answer's time.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from parley.protocol.types import ConversationId, UserId
from parley.store.bounds import OVERLAP_MS
from parley.store.sql.now import now_ms
from parley.store.tables import conversations, members

MOST = 100_000
"""Rows of one answer: the latest. What is older was within the overlap of the answers before."""
_AT_ONCE = 500

_c, _m = conversations.c, members.c


def changed_since(connection: Connection, since_ms: int) -> tuple[int, list[tuple[ConversationId, int]]]:
    """(now, [(conversation, head)]) of those changed since then, both by the database's clock."""
    now = _now(connection)
    rows = connection.execute(
        select(_c.id, _c.last_seq)
        .where(_c.changed_at >= _from(since_ms, now))
        .order_by(_c.changed_at.desc())
        .limit(MOST)
    )
    return now, [(ConversationId(id_), head) for id_, head in rows]


def joined_since(connection: Connection, since_ms: int) -> list[tuple[ConversationId, UserId, int]]:
    """(conversation, user, seq of joining) of those who came in since then; 0 for the two of a direct conversation."""
    rows = connection.execute(
        select(_m.conversation_id, _m.user_id, _m.joined_seq)
        .where(_m.joined_at >= _from(since_ms, _now(connection)))
        .order_by(_m.joined_at.desc())
        .limit(MOST)
    )
    return [(ConversationId(conversation), UserId(user), seq) for conversation, user, seq in rows]


def _now(connection: Connection) -> int:
    now: int = connection.execute(select(now_ms())).scalar_one()
    return now


def _from(since_ms: int, now: int) -> int:
    """Not after the overlap: the database's clock may have been set back since the last answer."""
    return min(since_ms, now - OVERLAP_MS)


def heads_of(connection: Connection, ids: Sequence[ConversationId]) -> list[tuple[ConversationId, int]]:
    """(id, head) of those that exist."""
    found: list[tuple[ConversationId, int]] = []
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        rows = connection.execute(select(_c.id, _c.last_seq).where(_c.id.in_(part)))
        found += [(ConversationId(id_), head) for id_, head in rows]
    return found
