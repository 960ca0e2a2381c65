"""Cutting, holding and stealing a store's connection on an engine behind a network."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pymysql
import pytest
from sqlalchemy import text
from tests.store.servers import connected
from tests.store.stores import Store

PATIENCE = 20.0
PAUSE = 0.12
"""InnoDB's tables of transactions are read from a copy that is renewed only if nobody has looked for 0.1 s."""


def number_of(raw: Any) -> int:
    """What the server calls this connection."""
    return int(raw.info.backend_pid if isinstance(raw, psycopg.Connection) else raw.thread_id())


def kill(store: Store, number: int) -> None:
    """From another connection, as an administrator does; returns when it is gone."""
    postgresql = store.engine.dialect.name == "postgresql"
    end = "SELECT pg_terminate_backend(:it)" if postgresql else "KILL HARD CONNECTION :it"
    still = "SELECT pid FROM pg_stat_activity WHERE pid = :it"
    if not postgresql:
        still = "SELECT id FROM information_schema.processlist WHERE id = :it"
    with connected(store.engine.url) as connection:
        connection.execute(text(end), {"it": number})
    wait_for(lambda: not _rows(store, still, it=number))


def wait_for(what: Callable[[], object]) -> None:
    """Asked again and again, since no engine tells by itself."""
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(PAUSE)


def somebody_waits(store: Store) -> bool:
    """For a lock in this database."""
    if store.engine.dialect.name == "postgresql":
        return bool(_rows(store, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = :db"))
    return bool(
        _rows(
            store,
            "SELECT 1 FROM information_schema.innodb_trx AS t JOIN information_schema.processlist AS p"
            " ON p.id = t.trx_mysql_thread_id WHERE t.trx_state = 'LOCK WAIT' AND p.db = :db",
        )
    )


def _rows(store: Store, sql: str, **values: object) -> list[Any]:
    with connected(store.engine.url) as connection:
        return list(connection.execute(text(sql), {"db": store.engine.url.database, **values}))


def lost(store: Store) -> Exception:
    """As the driver says that the connection is gone."""
    if store.engine.dialect.name == "postgresql":
        return psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly")
    return pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")


def steal(connection: Any, error: Exception) -> Any:
    """The driver's connection, as it is, with its transaction open; SQLAlchemy finds a dead one in its place."""
    raw = connection.dbapi_connection
    connection.dbapi_connection = connection._connection_record.dbapi_connection = _Dead(error)
    return raw


class _Dead:
    closed = broken = True

    def __init__(self, error: Exception) -> None:
        self._error = error

    def _fail(self, *_: object) -> None:
        raise self._error

    rollback = commit = cursor = close = _fail


class Commits:
    """Stands before the writer's COMMIT. `plan`: what to do instead of each one, by turns; then it is as ever."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self._commit = store.engine.dialect.do_commit
        self.plan: list[Callable[[Any, Callable[[], None]], None]] = []
        """Each is given the pool's connection and what commits it."""
        self.count = 0
        monkeypatch.setattr(store.engine.dialect, "do_commit", self)

    def __call__(self, connection: Any) -> None:
        self.count += 1
        if self.plan:
            self.plan.pop(0)(connection, lambda: self._commit(connection))
        else:
            self._commit(connection)
