"""Databases on the real engines for stores under test: migrated once in a session, emptied for each folder that asks.

A store under test names a folder. On SQLite its file lies there; here the folder stands for one of a few databases,
which it keeps until its store is closed and another one needs it.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from parley.store import shared
from parley.store.schema import metadata
from parley.testing.engines import EngineMissing
from parley.testing.shared import address, own_database


@dataclass
class Server:
    """One engine. `variable`: where its address stands."""

    variable: str
    _places: dict[Path, URL] = field(default_factory=dict)
    _open: dict[Path, int] = field(default_factory=dict)
    _kept: ExitStack = field(default_factory=ExitStack)

    def url(self, folder: Path) -> URL:
        """The folder's database; an empty one for a folder that is new here. Raises EngineMissing."""
        if folder not in self._places:
            idle = next((known for known in self._places if not self._open.get(known)), None)
            url = self._places.pop(idle) if idle is not None else self._make()
            empty(url)
            self._places[folder] = url
        return self._places[folder]

    def opened(self, folder: Path) -> None:
        self._open[folder] = self._open.get(folder, 0) + 1

    def closed(self, folder: Path) -> None:
        self._open[folder] -= 1

    def _make(self) -> URL:
        there = address(self.variable)
        if there is None:
            raise EngineMissing(f"{self.variable} is not set, and make services did not bring it")
        url = self._kept.enter_context(own_database(there))
        atexit.register(self._kept.close)
        shared.upgrade(url, 1)
        return make_url(url)


POSTGRESQL = Server("PARLEY_TEST_POSTGRESQL")
MARIADB = Server("PARLEY_TEST_MARIADB")


@contextmanager
def connected(url: URL) -> Iterator[Connection]:
    """By a connection of its own, whatever state the store under test is in."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection, connection.begin():
        yield connection


def empty(url: URL) -> None:
    """No rows but the schema's number, and ids from 1 again. DELETE, since TRUNCATE makes new files."""
    tables = metadata.tables.values()
    with connected(url) as connection:
        filled = text(
            " UNION ALL ".join([f"SELECT '{it.name}' WHERE EXISTS (SELECT 1 FROM {it.name})" for it in tables])
        )
        for name in connection.scalars(filled).all():
            table = metadata.tables[name]
            connection.execute(table.delete())
            column = table.autoincrement_column
            if column is None:
                continue
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"ALTER SEQUENCE {name}_{column.name}_seq RESTART"))
            else:
                connection.execute(text(f"ALTER TABLE {name} AUTO_INCREMENT = 1"))


def needs(server: Server) -> None:
    """Skips the test without the engine."""
    if address(server.variable) is None:
        pytest.skip(f"{server.variable} is not set, and make services did not bring it")
