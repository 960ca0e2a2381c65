"""Reading many rows in one step, and the few expressions that every reader shares."""

from typing import Any

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, func, select

from parley.ids import EPOCH_MS
from parley.store.tables import conversations, meta

Row = tuple[Any, ...]

_decode_rows = msgspec.json.Decoder(list[Row]).decode


def fetch(connection: Connection, statement: Select[Any]) -> list[Row]:
    """All rows, as plain tuples in the order asked for. Every column needs its own name; a boolean may come as 0 or 1.

    On SQLite they come as one JSON array: sqlite3 lets go of the interpreter's lock for each row that it steps through
    and must win it back from a busy event loop, 5 ms at worst, and a page has hundreds.
    """
    if connection.dialect.name != "sqlite":
        return [tuple(row) for row in connection.execute(statement)]
    rows = statement.subquery("r")
    packed = select(func.json_group_array(func.json_array(*rows.c)))
    return _decode_rows(connection.execute(packed).scalar_one())


EPOCH = select(meta.c.value).where(meta.c.key == "epoch").scalar_subquery()
"""Names this database's history; it changes when history was restored."""


def epoch(connection: Connection) -> str:
    value: str = connection.execute(select(EPOCH)).scalar_one()
    return value


def recency() -> ColumnElement[int]:
    """When something was last said: the last message's id, or in a silent conversation what it were at its founding.

    It grows only when a message comes: a list ordered by it stays in place while members come and go.
    """
    founded = (conversations.c.created_at - EPOCH_MS) * (1 << 22)
    return func.coalesce(conversations.c.last_message_id, founded, type_=BigInteger)
