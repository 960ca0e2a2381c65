"""The hot statements on MariaDB and MySQL: numbers stand in the text, which is made here row by row.

PyMySQL has no prepared statements: it would put each value into the text too, at ten times the cost. What must be
matched with many rows at once comes as one JSON text, which both engines read as a table.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from parley.protocol.types import EntryKind
from parley.store.sql.hot import ENTRY_COLUMNS, MARK_COLUMNS, Cursor, Row

STATEMENT_CHARS = 1 << 20
"""Rows of one INSERT; servers refuse statements over `max_allowed_packet`, 16 MiB and more where nobody changed it."""

_CONVERSATIONS = """
SELECT id, kind, lobby, join_policy, name, title, last_seq, last_ordinal, last_message_id, member_count, closed_at
FROM conversations FORCE INDEX (PRIMARY) WHERE id IN (IDS) ORDER BY id FOR UPDATE
"""
_ROLES = """
SELECT m.conversation_id, m.user_id, m.role, m.joined_seq
FROM JSON_TABLE('ROWS', '$[*]' COLUMNS (c BIGINT PATH '$[0]', u BIGINT PATH '$[1]')) AS v
STRAIGHT_JOIN members m ON m.conversation_id = v.c AND m.user_id = v.u
"""
_ANSWERS = """
SELECT actor_id, client_id, id, conversation_id, seq, at, kind, message_id, body
FROM entries WHERE client_id IN (KEYS) AND actor_id IN (ACTORS)
"""
# Above a crowd's size nobody asks how many there are: of the lobby's accounts a thousand are counted at most.
_MARK_STATES = """
SELECT v.i, c.lobby OR m.user_id IS NOT NULL, c.last_seq, c.last_ordinal,
    COALESCE(k.read_seq, 0), COALESCE(k.read_ordinal, 0), COALESCE(k.delivered_seq, 0), COALESCE(e.ordinal, 0),
    CASE WHEN c.lobby
        THEN (SELECT COUNT(*) FROM (SELECT 1 FROM users WHERE deactivated_at IS NULL LIMIT 1000) AS counted)
        ELSE c.member_count END
FROM JSON_TABLE('ROWS', '$[*]' COLUMNS (
    i BIGINT PATH '$[0]', u BIGINT PATH '$[1]', c BIGINT PATH '$[2]', s BIGINT PATH '$[3]')) AS v
STRAIGHT_JOIN conversations c ON c.id = v.c
LEFT JOIN members m ON m.conversation_id = v.c AND m.user_id = v.u
LEFT JOIN marks k ON k.user_id = v.u AND k.conversation_id = v.c
LEFT JOIN entries e ON e.conversation_id = v.c AND e.seq = LEAST(v.s, c.last_seq)
"""
_SEND = """
INSERT INTO entries (id, conversation_id, seq, ordinal, actor_id, client_id, at, body, kind, edit, deleted) VALUES
"""
_SENT = f"{EntryKind.MESSAGE_CREATED:d},0,0"
_INSERT = "INSERT INTO entries (COLUMNS) VALUES".replace("COLUMNS", ", ".join(ENTRY_COLUMNS))
# In this order and by this index: a table of few rows would be scanned, and every row in it locked.
_BUMP = """
UPDATE JSON_TABLE('ROWS', '$[*]' COLUMNS (
    id BIGINT PATH '$[0]', seq BIGINT PATH '$[1]', ordinal BIGINT PATH '$[2]', message BIGINT PATH '$[3]')) AS v
STRAIGHT_JOIN conversations AS c FORCE INDEX (PRIMARY) ON c.id = v.id
SET c.last_seq = v.seq, c.last_ordinal = v.ordinal, c.last_message_id = v.message,
    c.changed_at = CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)
"""
_MARKS = "INSERT INTO marks (COLUMNS) VALUES".replace("COLUMNS", ", ".join(MARK_COLUMNS))
_FORWARD = " ON DUPLICATE KEY UPDATE " + ", ".join(
    [f"{it} = GREATEST({it}, VALUES({it}))" for it in ("read_seq", "read_ordinal", "delivered_seq")]
)


class MariadbHot:
    """MariaDB's and MySQL's, over PyMySQL."""

    def together(self, cursor: Cursor) -> AbstractContextManager[object]:
        return nullcontext()

    def load(self, cursor: Cursor, ids: Iterable[int], pairs: Iterable[tuple[int, int]]) -> tuple[list[Row], list[Row]]:
        return self.conversations(cursor, ids), self.roles(cursor, pairs)

    def conversations(self, cursor: Cursor, ids: Iterable[int]) -> list[Row]:
        return _rows(cursor, _CONVERSATIONS.replace("IDS", ",".join(map(str, sorted(ids)))))

    def roles(self, cursor: Cursor, pairs: Iterable[tuple[int, int]]) -> list[Row]:
        return _rows(cursor, _ROLES.replace("ROWS", _json(pairs)))

    def answers(self, cursor: Cursor, keys: Sequence[tuple[int, str]]) -> list[Row]:
        if not keys:
            return []
        asked = set(keys)
        texts = ",".join({_quoted(client_id) for _, client_id in keys})
        actors = ",".join({str(actor) for actor, _ in keys})
        sql = _ANSWERS.replace("ACTORS", actors).replace("KEYS", texts)
        return [row for row in _rows(cursor, sql) if (row[0], row[1]) in asked]

    def mark_states(self, cursor: Cursor, wanted: Sequence[tuple[int, int, int]]) -> list[Row]:
        return _rows(cursor, _MARK_STATES.replace("ROWS", _json((i, *row) for i, row in enumerate(wanted))))

    def insert_entries(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        _insert(cursor, _INSERT, [",".join([_literal(value) for value in row]) for row in rows])

    def insert_messages(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        texts = [
            f"{id_},{conversation},{seq},{ordinal},{actor},{_quoted(client_id)},{at},{_quoted(body)},{_SENT}"
            for id_, conversation, seq, ordinal, actor, client_id, at, body in rows
        ]
        _insert(cursor, _SEND, texts)

    def bump(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        _execute(cursor, _BUMP.replace("ROWS", _json(rows)))

    def move_marks(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        _insert(cursor, _MARKS, [",".join(map(str, row)) for row in sorted(rows)], _FORWARD)


def _execute(cursor: Cursor, sql: str) -> None:
    # PyMySQL would let lone surrogates through as the bytes they stand for in file names.
    cursor.execute(sql.encode())


def _rows(cursor: Cursor, sql: str) -> list[Row]:
    _execute(cursor, sql)
    return list(cursor.fetchall())


def _insert(cursor: Cursor, head: str, rows: Sequence[str], tail: str = "") -> None:
    for part in _parts(rows):
        _execute(cursor, f"{head} ({'),('.join(part)}){tail}")


def _parts(rows: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    chars = 0
    for row in rows:
        if part and chars + len(row) > STATEMENT_CHARS:
            yield part
            part, chars = [], 0
        part.append(row)
        chars += len(row)
    yield part


def _json(rows: Iterable[Row]) -> str:
    """Of numbers."""
    return (
        "[" + ",".join(["[" + ",".join(["null" if it is None else str(it) for it in row]) + "]" for row in rows]) + "]"
    )


def _quoted(text: str) -> str:
    """As `sql_mode` is on our connections: without NO_BACKSLASH_ESCAPES."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _literal(value: object) -> str:
    if isinstance(value, str):
        return _quoted(value)
    return "NULL" if value is None else str(int(value))  # type: ignore[call-overload]
