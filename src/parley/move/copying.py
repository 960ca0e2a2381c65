"""Rows from one database into another, table by table, in the order of their primary keys.

The source stands still and rows go in key order, so what the target holds of a table is always its beginning: a copy
that was cut goes on after the target's last key, and needs no record of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, func, insert, select, tuple_

from parley.store.schema import LOCAL, metadata
from parley.store.tables import meta

PAGE = 1_000
"""Rows in one transaction: what a cut costs at most."""

Tell = Callable[[str, int], None]
"""Told a table's name and how many rows of it are over, after each page."""


def tables() -> list[Table]:
    """Everything that is moved row by row. There are no foreign keys: any order will do, if it stays the same."""
    return [table for table in metadata.sorted_tables if table.name not in LOCAL and table is not meta]


def pages(connection: Connection, table: Table, after: Sequence[Any] | None = None) -> Iterator[Sequence[RowMapping]]:
    """The table's rows in key order, from behind the key `after`."""
    keys = list(table.primary_key.columns)
    page = select(table).order_by(*keys).limit(PAGE)
    while True:
        query = page if after is None else page.where(tuple_(*keys) > tuple_(*after))
        with connection.begin():
            rows = connection.execute(query).mappings().all()
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        after = [rows[-1][column.name] for column in keys]


def last_key(connection: Connection, table: Table) -> Sequence[Any] | None:
    keys = list(table.primary_key.columns)
    with connection.begin():
        row = connection.execute(select(*keys).order_by(*[column.desc() for column in keys]).limit(1)).one_or_none()
    return None if row is None else list(row)


def copy(source: Connection, target: Connection, tell: Tell) -> int:
    """Bring over what is not there yet; returns how many rows this run brought."""
    brought = 0
    for table in tables():
        over = 0
        for rows in pages(source, table, last_key(target, table)):
            with target.begin():
                target.execute(insert(table), [dict(row) for row in rows])
            over += len(rows)
            tell(table.name, over)
        brought += over
    return brought


def copy_facts(source: Connection, target: Connection, own: frozenset[str]) -> None:
    """The database's epoch and other facts, but not those in `own`."""
    with source.begin():
        facts = [dict(row) for row in source.execute(select(meta).where(meta.c.key.not_in(own))).mappings()]
    with target.begin():
        target.execute(meta.delete().where(meta.c.key.not_in(own)))
        target.execute(insert(meta), facts)


def empty(target: Connection) -> None:
    """Take every row away, of all tables."""
    for table in metadata.sorted_tables:
        with target.begin():
            target.execute(table.delete())


def go_on_counting(target: Connection) -> None:
    """PostgreSQL counts ids in sequences that rows with an id of their own do not move."""
    if target.dialect.name != "postgresql":
        return
    with target.begin():
        for table in tables():
            column = table.autoincrement_column
            if column is None or column.autoincrement is not True:
                continue
            highest: int = target.scalar(select(func.max(column))) or 0
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            target.execute(select(func.setval(sequence, highest + 1, False)))
