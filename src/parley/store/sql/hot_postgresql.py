"""The hot statements on PostgreSQL: one parameter a column, as the text of an array, however many rows there are.

So each statement has one text for any number of rows, is prepared once and planned once. Making the arrays' text here
costs a tenth of letting the driver adapt every value. What need not be looked at before the next statement goes out in
one pipeline: a batch of messages is three round trips, of which the last is the commit.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import psycopg

from parley.protocol.types import EntryKind
from parley.store.sql.hot import ENTRY_COLUMNS, Cursor, Row

_CONVERSATIONS = """
SELECT id, kind, lobby, join_policy, name, title, last_seq, last_ordinal, last_message_id, member_count, closed_at
FROM conversations WHERE id = ANY (%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""
_ROLES = """
SELECT m.conversation_id, m.user_id, m.role, m.joined_seq
FROM unnest(%s::bigint[], %s::bigint[]) AS v(c, u) JOIN members m ON m.conversation_id = v.c AND m.user_id = v.u
"""
_ANSWERS = """
SELECT e.actor_id, e.client_id, e.id, e.conversation_id, e.seq, e.at, e.kind, e.message_id, e.body
FROM unnest(%s::bigint[], %s::text[]) AS v(a, c) JOIN entries e ON e.actor_id = v.a AND e.client_id = v.c
"""
# Above a crowd's size nobody asks how many there are: of the lobby's accounts a thousand are counted at most.
_MARK_STATES = """
SELECT v.i, c.lobby OR m.user_id IS NOT NULL, c.last_seq, c.last_ordinal,
    coalesce(k.read_seq, 0), coalesce(k.read_ordinal, 0), coalesce(k.delivered_seq, 0), coalesce(e.ordinal, 0),
    CASE WHEN c.lobby
        THEN (SELECT count(*) FROM (SELECT 1 FROM users WHERE deactivated_at IS NULL LIMIT 1000) AS counted)
        ELSE c.member_count END
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS v(i, u, c, s)
JOIN conversations c ON c.id = v.c
LEFT JOIN members m ON m.conversation_id = v.c AND m.user_id = v.u
LEFT JOIN marks k ON k.user_id = v.u AND k.conversation_id = v.c
LEFT JOIN entries e ON e.conversation_id = v.c AND e.seq = least(v.s, c.last_seq)
"""
_SEND = """
INSERT INTO entries (id, conversation_id, seq, ordinal, actor_id, client_id, at, body, kind, edit, deleted)
SELECT *, CREATED, 0, false FROM unnest(
    %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::text[])
""".replace("CREATED", str(int(EntryKind.MESSAGE_CREATED)))
_ENTRY_TYPES = {"client_id": "text", "body": "text", "kind": "smallint", "edit": "integer", "deleted": "boolean"}
_INSERT = "INSERT INTO entries (COLUMNS) SELECT * FROM unnest(ARRAYS)".replace(
    "COLUMNS", ", ".join(ENTRY_COLUMNS)
).replace("ARRAYS", ", ".join([f"%s::{_ENTRY_TYPES.get(column, 'bigint')}[]" for column in ENTRY_COLUMNS]))
_BUMP = """
UPDATE conversations AS c SET last_seq = v.seq, last_ordinal = v.ordinal, last_message_id = v.message,
    changed_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS v(id, seq, ordinal, message) WHERE c.id = v.id
"""
_MARKS = """
INSERT INTO marks AS k (user_id, conversation_id, read_seq, read_ordinal, delivered_seq)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (user_id, conversation_id) DO UPDATE SET
    read_seq = greatest(k.read_seq, excluded.read_seq), read_ordinal = greatest(k.read_ordinal, excluded.read_ordinal),
    delivered_seq = greatest(k.delivered_seq, excluded.delivered_seq)
"""


class PostgresqlHot:
    """PostgreSQL's, over psycopg."""

    def together(self, cursor: Cursor) -> AbstractContextManager[object]:
        pipeline: AbstractContextManager[object] = cursor.connection.pipeline()
        return pipeline

    def load(self, cursor: Cursor, ids: Iterable[int], pairs: Iterable[tuple[int, int]]) -> tuple[list[Row], list[Row]]:
        second = cursor.connection.cursor()
        try:
            with self.together(cursor):
                _run(cursor, _CONVERSATIONS, _numbers(sorted(ids)))
                # A statement of its own: its snapshot is younger than the locks, so it sees what their holders changed.
                _run(second, _ROLES, *_columns(list(pairs), 2))
            return cursor.fetchall(), second.fetchall()
        finally:
            second.close()

    def conversations(self, cursor: Cursor, ids: Iterable[int]) -> list[Row]:
        return _run(cursor, _CONVERSATIONS, _numbers(sorted(ids))).fetchall()  # type: ignore[no-any-return]

    def roles(self, cursor: Cursor, pairs: Iterable[tuple[int, int]]) -> list[Row]:
        return _run(cursor, _ROLES, *_columns(list(pairs), 2)).fetchall()  # type: ignore[no-any-return]

    def answers(self, cursor: Cursor, keys: Sequence[tuple[int, str]]) -> list[Row]:
        if not keys:
            return []
        actors, client_ids = zip(*keys, strict=True)
        return _run(cursor, _ANSWERS, _numbers(actors), _texts(client_ids)).fetchall()  # type: ignore[no-any-return]

    def mark_states(self, cursor: Cursor, wanted: Sequence[tuple[int, int, int]]) -> list[Row]:
        arrays = _columns(wanted, 3)
        return _run(cursor, _MARK_STATES, _numbers(range(len(wanted))), *arrays).fetchall()  # type: ignore[no-any-return]

    def insert_entries(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        _run(
            cursor,
            _INSERT,
            *(
                (_texts if _ENTRY_TYPES.get(column) == "text" else _nullable)(values)
                for column, values in zip(ENTRY_COLUMNS, zip(*rows, strict=True), strict=True)
            ),
        )

    def insert_messages(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        id_, conversation, seq, ordinal, actor, client_id, at, body = zip(*rows, strict=True)
        numbers = [_numbers(column) for column in (id_, conversation, seq, ordinal, actor)]
        _run(cursor, _SEND, *numbers, _texts(client_id), _numbers(at), _texts(body))

    def bump(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        id_, seq, ordinal, message = zip(*rows, strict=True)
        _run(cursor, _BUMP, _numbers(id_), _numbers(seq), _numbers(ordinal), _nullable(message))

    def move_marks(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        _run(cursor, _MARKS, *_columns(sorted(rows), 5))


def _run(cursor: Cursor, sql: str, *arrays: str) -> Any:
    return cursor.execute(sql, arrays, prepare=True)


def _columns(rows: Sequence[Row], width: int) -> list[str]:
    return [_numbers(column) for column in zip(*rows, strict=True)] if rows else ["{}"] * width


def _numbers(values: Iterable[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def _nullable(values: Iterable[int | bool | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def _texts(values: Sequence[str]) -> str:
    """One pass over all of them together: NUL, which PostgreSQL has in no text, stands where they meet."""
    joined = "\0".join(values)
    if joined.count("\0") != len(values) - 1:
        raise psycopg.DataError("PostgreSQL text cannot contain NUL")
    return '{"' + joined.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","') + '"}'
