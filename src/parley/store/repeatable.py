"""Migrations that can be run again where they were cut off: MariaDB and MySQL commit each change of the schema at once.

A migration that died half-way has left its number at the one before, and the next run begins it anew; what is there
already is passed over. Each single change is whole or not there (atomic DDL). Rows that a migration moves must be moved
by statements that may be run again too.
"""

from typing import Any

from alembic.ddl import mysql
from sqlalchemy import Column, Index, Inspector, Table, inspect
from sqlalchemy.schema import CreateIndex


class _Repeatable(mysql.MySQLImpl):
    __dialect__ = "parley-repeatable"

    def create_table(self, table: Table, **kw: Any) -> None:
        found = self._found()
        if found is None or not found.has_table(table.name):
            super().create_table(table, **kw)
            return
        for index in table.indexes:
            self.create_index(index)

    def create_index(self, index: Index, **kw: Any) -> None:
        found = self._found()
        assert index.table is not None
        if found is None or index.name not in {it["name"] for it in found.get_indexes(index.table.name)}:
            self._exec(CreateIndex(index, **kw))

    def add_column(self, table_name: str, column: Column[Any], **kw: Any) -> None:
        found = self._found()
        if found is None or column.name not in {it["name"] for it in found.get_columns(table_name)}:
            super().add_column(table_name, column, **kw)

    def _found(self) -> Inspector | None:
        """None: the SQL is only printed."""
        return None if self.as_sql or self.connection is None else inspect(self.connection)


class Mariadb(_Repeatable):
    """Takes the place of Alembic's own by its name."""

    __dialect__ = "mariadb"


class Mysql(_Repeatable):
    """The same."""

    __dialect__ = "mysql"
