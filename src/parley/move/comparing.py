"""Whether two databases hold the same: rows counted and hashed, entries conversation by conversation."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, Table, select

from parley.move.copying import pages, tables
from parley.store.tables import conversations, entries, meta

_encode = msgspec.msgpack.Encoder().encode


class Digest:
    """Rows in an order that is the same on both sides."""

    __slots__ = ("_hash", "highest", "numbered", "rows")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.rows = 0
        self.numbered = 0
        self.highest = 0

    def add(self, row: RowMapping) -> None:
        # SQLite and MariaDB keep booleans as numbers, PostgreSQL does not.
        values = [int(value) if isinstance(value, bool) else value for value in row.values()]
        self._hash.update(_encode(values))
        self.rows += 1

    def same(self, other: "Digest") -> bool:
        return self.rows == other.rows and self._hash.digest() == other._hash.digest()


class Comparison(msgspec.Struct, frozen=True):
    """`rows`: of the first database, by table. `problems`: one sentence each, the first of them only."""

    rows: dict[str, int]
    conversations: int
    messages: int
    problems: list[str]


PROBLEMS = 50
"""Reported at most: the first tell what is wrong."""


def compare(first: Connection, second: Connection, own: frozenset[str]) -> Comparison:
    """`own`: keys of `meta` that tell of the move itself."""
    problems: list[str] = []
    rows: dict[str, int] = {}
    for table in tables():
        if table is entries:
            continue
        one, two = _digest(first, table), _digest(second, table)
        rows[table.name] = one.rows
        if not one.same(two):
            counts = f"{one.rows} and {two.rows} rows" if one.rows != two.rows else f"{one.rows} rows that differ"
            problems.append(f"table {table.name}: {counts}")
    if _facts(first, own) != _facts(second, own):
        problems.append("table meta: the databases name themselves differently")
    one_side, other_side = _by_conversation(first), _by_conversation(second)
    rows[entries.name] = sum(digest.rows for digest in one_side.values())
    problems += _differences(one_side, other_side)
    problems += _holes(second, other_side)
    messages = sum(digest.numbered for digest in one_side.values())
    return Comparison(rows, len(one_side), messages, problems[:PROBLEMS])


def _digest(connection: Connection, table: Table) -> Digest:
    digest = Digest()
    for page in pages(connection, table):
        for row in page:
            digest.add(row)
    return digest


def _facts(connection: Connection, own: frozenset[str]) -> dict[str, str]:
    with connection.begin():
        return {key: value for key, value in connection.execute(select(meta.c.key, meta.c.value)) if key not in own}


def _by_conversation(connection: Connection) -> dict[int, Digest]:
    """By id, which both sides share: one walk through the table, whatever the number of conversations."""
    digests: dict[int, Digest] = {}
    for page in pages(connection, entries):
        for row in page:
            digest = digests.setdefault(row["conversation_id"], Digest())
            digest.add(row)
            if row["seq"] is not None:
                digest.numbered += 1
                digest.highest = max(digest.highest, row["seq"])
    return digests


def _differences(one: Mapping[int, Digest], other: Mapping[int, Digest]) -> list[str]:
    found = []
    for conversation in sorted(one.keys() | other.keys()):
        left, right = one.get(conversation), other.get(conversation)
        if left is None or right is None or not left.same(right):
            counts = f"{left.rows if left else 0} and {right.rows if right else 0} entries"
            found.append(f"conversation {conversation}: {counts}, which are not the same")
    return found


def _holes(connection: Connection, digests: Mapping[int, Digest]) -> list[str]:
    """The head that a conversation names is its last entry, and none before it is missing."""
    with connection.begin():
        heads: list[Any] = list(connection.execute(select(conversations.c.id, conversations.c.last_seq)))
    found = []
    for conversation, head in heads:
        digest = digests.get(conversation, Digest())
        if not digest.numbered == digest.highest == head:
            found.append(
                f"conversation {conversation}: head {head}, but {digest.numbered} entries up to {digest.highest}"
            )
    return found
