"""Reading many rows in one step, and the few expressions that every reader shares."""

from typing import Any

import msgspec
from sqlalchemy import BigInteger, BindParameter, ColumnElement, Connection, Select, bindparam, func, select

from parley.ids import EPOCH_MS
from parley.store.tables import conversations, meta

Row = tuple[Any, ...]

_decode_rows = msgspec.json.Decoder(list[Row]).decode


class Query:
    """A SELECT built once, with `bindparam`s for what changes: building costs more than these statements take to run.

    Every column needs a name of its own. On SQLite all rows come as one JSON array: sqlite3 lets go of the
    interpreter's lock for each row that it steps through and must win it back from a busy event loop, 5 ms at worst,
    and a page has hundreds.
    """

    def __init__(self, statement: Select[Any]) -> None:
        self._plain = statement
        rows = statement.subquery("r")
        self._packed = select(func.json_group_array(func.json_array(*rows.c)))

    def rows(self, connection: Connection, **values: object) -> list[Row]:
        """All of them, as plain tuples in the order asked for. A boolean may come as 0 or 1."""
        if connection.dialect.name != "sqlite":
            return [tuple(row) for row in connection.execute(self._plain, values)]
        return _decode_rows(connection.execute(self._packed, values).scalar_one())


def one_of(name: str) -> BindParameter[Any]:
    """A parameter that takes a list, for `in_`."""
    return bindparam(name, expanding=True)


def holdable(*texts: str) -> bool:
    """Whether every engine can hold these texts. If not, nothing that is stored is called so or begins so: PostgreSQL,
    which has no U+0000, need not be asked."""
    return not any("\0" in text for text in texts)


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
