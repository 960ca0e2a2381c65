"""The statements that every message passes, as SQL text for the driver itself.

SQLAlchemy's own execution costs more than these statements take. And each row that sqlite3 steps through lets go of the
interpreter's lock and must win it back from the event loop (5 ms at worst), so these read and write many rows in one
step: rows come back as one JSON array, and inserts carry up to 64 rows.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import msgspec

from parley.protocol.types import EntryKind

Row = tuple[Any, ...]
ENTRY_COLUMNS = (
    "id", "conversation_id", "seq", "ordinal", "kind", "actor_id", "client_id", "at", "message_id", "user_id",
    "edit", "edited_seq", "deleted", "body",
)  # fmt: skip
MESSAGE_COLUMNS = ("id", "conversation_id", "seq", "ordinal", "actor_id", "client_id", "at", "body")
"""What differs between new messages; the other columns stand in the statement."""
MARK_COLUMNS = ("user_id", "conversation_id", "read_seq", "read_ordinal", "delivered_seq")


class Cursor(Protocol):
    """What is used of a DBAPI cursor."""

    @property
    def connection(self) -> Any: ...
    def execute(self, sql: str | bytes, parameters: Any = ..., **options: Any) -> Any: ...
    def executemany(self, sql: str, parameters: Any) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> Any: ...


class HotSql(Protocol):
    """One implementation per engine. Ids are integers made by this program, so they may stand in the text."""

    def together(self, cursor: Cursor) -> AbstractContextManager[object]:
        """Statements that return nothing may go out together in it; one that failed raises at its end at the latest."""

    def load(self, cursor: Cursor, ids: Iterable[int], pairs: Iterable[tuple[int, int]]) -> tuple[list[Row], list[Row]]:
        """`conversations`, and when they are locked, `roles`."""

    def conversations(self, cursor: Cursor, ids: Iterable[int]) -> list[Row]:
        """Lock and return (id, kind, lobby, join_policy, name, title, last_seq, last_ordinal, last_message_id,
        member_count, closed_at) in id order."""

    def roles(self, cursor: Cursor, pairs: Iterable[tuple[int, int]]) -> list[Row]:
        """(conversation_id, user_id, role, joined_seq) of those of `pairs` that are members."""

    def answers(self, cursor: Cursor, keys: Sequence[tuple[int, str]]) -> list[Row]:
        """(actor_id, client_id, id, conversation_id, seq, at, kind, message_id, body) of those of (actor, client_id)
        that were answered."""

    def mark_states(self, cursor: Cursor, wanted: Sequence[tuple[int, int, int]]) -> list[Row]:
        """For (user, conversation, seq): (index, readable, last_seq, last_ordinal, read_seq, read_ordinal,
        delivered_seq, ordinal at seq, member_count; of the lobby: of all accounts).

        Without a row for a conversation that does not exist; `seq` is cut to the head; no mark yet counts as 0.
        """

    def insert_entries(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        """Rows of ENTRY_COLUMNS. Raises the driver's IntegrityError for a repeat."""

    def insert_messages(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        """The same for new messages: rows of MESSAGE_COLUMNS."""

    def bump(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        """Rows of (id, last_seq, last_ordinal, last_message_id); a shared database notes by its own clock when."""

    def move_marks(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        """Rows of MARK_COLUMNS; each position only ever moves forward. Written in the order of their keys, because
        they are locked in that order."""


_CONVERSATIONS = """
SELECT json_group_array(json_array(
    id, kind, lobby, join_policy, name, title, last_seq, last_ordinal, last_message_id, member_count, closed_at))
FROM conversations WHERE id IN (ROWS)
"""
_ROLES = """
WITH v(c, u) AS (VALUES ROWS)
SELECT json_group_array(json_array(m.conversation_id, m.user_id, m.role, m.joined_seq))
FROM v CROSS JOIN members m ON m.conversation_id = v.c AND m.user_id = v.u
"""
_ANSWERS = """
WITH v(a, c) AS (VALUES ROWS)
SELECT e.actor_id, e.client_id, e.id, e.conversation_id, e.seq, e.at, e.kind, e.message_id, e.body
FROM v CROSS JOIN entries e ON e.actor_id = v.a AND e.client_id = v.c
"""
# Above a crowd's size nobody asks how many there are: of the lobby's accounts a thousand are counted at most.
_MARK_STATES = """
WITH v(i, u, c, s) AS (VALUES ROWS)
SELECT json_group_array(json_array(
    v.i, c.lobby OR m.user_id IS NOT NULL, c.last_seq, c.last_ordinal,
    coalesce(k.read_seq, 0), coalesce(k.read_ordinal, 0), coalesce(k.delivered_seq, 0), coalesce(e.ordinal, 0),
    CASE WHEN c.lobby
        THEN (SELECT count(*) FROM (SELECT 1 FROM users WHERE deactivated_at IS NULL LIMIT 1000))
        ELSE c.member_count END))
FROM v CROSS JOIN conversations c ON c.id = v.c
LEFT JOIN members m ON m.conversation_id = v.c AND m.user_id = v.u
LEFT JOIN marks k ON k.user_id = v.u AND k.conversation_id = v.c
LEFT JOIN entries e ON e.conversation_id = v.c AND e.seq = min(v.s, c.last_seq)
"""
_SEND = """
INSERT INTO entries (id, conversation_id, seq, ordinal, actor_id, client_id, at, body, kind, edit, deleted) VALUES ROWS
"""
_SENT_ROW = f"(?, ?, ?, ?, ?, ?, ?, ?, {EntryKind.MESSAGE_CREATED:d}, 0, 0)"
_BUMP = """
UPDATE conversations SET last_seq = v.column2, last_ordinal = v.column3, last_message_id = v.column4
FROM (VALUES ROWS) AS v WHERE id = v.column1
"""


class SqliteHot:
    """SQLite's. `_CHUNKS` are the row counts that have a prepared statement each."""

    _CHUNKS = (64, 16, 4, 1)

    def __init__(self) -> None:
        self._insert = {n: _values("INSERT INTO entries", ENTRY_COLUMNS, n) for n in self._CHUNKS}
        self._send = {n: _SEND.replace("ROWS", ", ".join([_SENT_ROW] * n)) for n in self._CHUNKS}
        upsert = (
            " ON CONFLICT (user_id, conversation_id) DO UPDATE SET"
            " read_ordinal = max(read_ordinal, excluded.read_ordinal), read_seq = max(read_seq, excluded.read_seq),"
            " delivered_seq = max(delivered_seq, excluded.delivered_seq)"
        )
        self._marks = {n: _values("INSERT INTO marks", MARK_COLUMNS, n) + upsert for n in self._CHUNKS}
        self._bump = {n: _BUMP.replace("ROWS", ", ".join(["(?, ?, ?, ?)"] * n)) for n in self._CHUNKS}

    def together(self, cursor: Cursor) -> AbstractContextManager[object]:
        return nullcontext()

    def load(self, cursor: Cursor, ids: Iterable[int], pairs: Iterable[tuple[int, int]]) -> tuple[list[Row], list[Row]]:
        return self.conversations(cursor, ids), self.roles(cursor, pairs)

    def conversations(self, cursor: Cursor, ids: Iterable[int]) -> list[Row]:
        return _one_json(cursor, _CONVERSATIONS.replace("ROWS", ",".join(map(str, sorted(ids)))))

    def roles(self, cursor: Cursor, pairs: Iterable[tuple[int, int]]) -> list[Row]:
        return _one_json(cursor, _ROLES.replace("ROWS", ",".join([f"({c},{u})" for c, u in pairs])))

    def answers(self, cursor: Cursor, keys: Sequence[tuple[int, str]]) -> list[Row]:
        found: list[Row] = []
        for start in range(0, len(keys), 256):
            part = keys[start : start + 256]
            sql = _ANSWERS.replace("ROWS", ",".join(["(?,?)"] * len(part)))
            cursor.execute(sql, [value for pair in part for value in pair])
            found += cursor.fetchall()
        return found

    def mark_states(self, cursor: Cursor, wanted: Sequence[tuple[int, int, int]]) -> list[Row]:
        rows = ",".join([f"({i},{u},{c},{s})" for i, (u, c, s) in enumerate(wanted)])
        return _one_json(cursor, _MARK_STATES.replace("ROWS", rows))

    def insert_entries(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        self._in_chunks(cursor, self._insert, rows)

    def insert_messages(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        self._in_chunks(cursor, self._send, rows)

    def bump(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        self._in_chunks(cursor, self._bump, rows)

    def move_marks(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        self._in_chunks(cursor, self._marks, rows)

    def _in_chunks(self, cursor: Cursor, statements: dict[int, str], rows: Sequence[Row]) -> None:
        start, left = 0, len(rows)
        for size in self._CHUNKS:
            while left >= size:
                chunk = rows[start : start + size]
                cursor.execute(statements[size], chunk[0] if size == 1 else [value for row in chunk for value in row])
                start += size
                left -= size


def _values(head: str, columns: Sequence[str], rows: int) -> str:
    row = "(" + ", ".join("?" * len(columns)) + ")"
    return f"{head} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"


_decode_rows = msgspec.json.Decoder(list[tuple[Any, ...]]).decode


def _one_json(cursor: Cursor, sql: str) -> list[Row]:
    cursor.execute(sql)
    return _decode_rows(cursor.fetchone()[0])
