"""The store of several nodes: one database that all of them share, opened only if it can keep what is promised."""

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import structlog
from sqlalchemy import URL, Connection, Engine, func, make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from parley.clock import Clock
from parley.ids import Snowflakes
from parley.store import mariadb, migrate, postgresql
from parley.store.batches import SqlBatches
from parley.store.failures import told
from parley.store.moved import refuse_if_moved
from parley.store.sql import nodes
from parley.store.sql.fetch import epoch
from parley.store.sql.hot import HotSql
from parley.store.sql.hot_mariadb import MariadbHot
from parley.store.sql.hot_postgresql import PostgresqlHot
from parley.store.tables import entries
from parley.store.threads import SqlDatabase

log = structlog.get_logger()

READERS = 8


class BadStoreUrl(Exception):
    """It names no database that this program knows."""


class StoreUnreachable(Exception):
    """There is no answer, or the database lets this user not in. The text holds no password."""


class NotDurable(Exception):
    """The database is set up so that it may lose what it has committed, or cannot be written to at all."""


class _Kind(NamedTuple):
    module: ModuleType
    hot: Callable[[], HotSql]


KINDS = {
    "postgresql+psycopg": _Kind(postgresql, PostgresqlHot),
    "mariadb+pymysql": _Kind(mariadb, MariadbHot),
    "mysql+pymysql": _Kind(mariadb, MariadbHot),
}


def parse(url: str) -> URL:
    """Raises BadStoreUrl, which says what is wanted."""
    forms = " or ".join(f"{name}://USER:PASSWORD@HOST/DATABASE" for name in KINDS)
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise BadStoreUrl(f"[store] url is no address of a database; wanted is {forms}") from None
    if parsed.drivername not in KINDS:
        raise BadStoreUrl(f"[store] url begins with {parsed.drivername!r}; wanted is {forms}")
    if not parsed.database:
        raise BadStoreUrl(f"[store] url {shown(parsed)} names no database; wanted is {forms}")
    return parsed


def shown(url: URL) -> str:
    """Without its secrets, which may stand in the query too."""
    return url.set(query={}).render_as_string(hide_password=True)


def upgrade(url: str, now_ms: int) -> None:
    """What `parley migrate` does on a shared database: under a lock of the database, so that it may be run twice.

    Raises BadStoreUrl, StoreUnreachable, SchemaMismatch.
    """
    engine = migration_engine(url)
    try:
        migrate.upgrade(engine, now_ms=now_ms)
    finally:
        engine.dispose()


def migration_engine(url: str) -> Engine:
    """For whoever works on a database alone: no bounds on how long a statement may take. Raises BadStoreUrl,
    StoreUnreachable."""
    parsed = parse(url)
    engine: Engine = KINDS[parsed.drivername].module.migration_engine(parsed)
    try:
        _reach(engine, parsed)
    except BaseException:
        engine.dispose()
        raise
    return engine


class Shared:
    """The same face as the embedded store's. `node` is to be renewed every few seconds, see `sql.nodes`."""

    def __init__(
        self, url: str, clock: Clock, node: int | None = None, *, roles: str = "gateway", checked: bool = True
    ) -> None:
        """Blocks. `node`: the number to work under; None takes a free one. `checked` False: run on a database that may
        lose what it has committed, with a warning.

        Raises BadStoreUrl, StoreUnreachable, SchemaMismatch, NotDurable, NoFreeNode.
        """
        self.url = parse(url)
        kind = KINDS[self.url.drivername]
        self._engine: Engine = kind.module.writer_engine(self.url)
        try:
            _reach(self._engine, self.url)
            migrate.check(self._engine)
            self._check(kind, checked=checked)
            with self._engine.connect() as connection, connection.begin():
                self.epoch = epoch(connection)
                # After it nobody begins to move the database away without seeing this node.
                self.node = nodes.claim(connection, nodes.new_owner(), roles, node)
                refuse_if_moved(connection)
                last_id = connection.scalar(select(func.max(entries.c.id))) or 0
        except BaseException:
            self._engine.dispose()
            raise
        # Above every id there is: a number that another process had before, with a clock ahead of this one, or this
        # process itself before its clock was set back.
        self.ids = Snowflakes(clock, self.node.id, after=last_id)
        self.database = SqlDatabase(self._engine, kind.module.reader_engine(self.url, READERS), READERS)
        self.batches = SqlBatches(self.database.writer, kind.hot(), self.ids, clock)

    def _check(self, kind: _Kind, *, checked: bool) -> None:
        with self._engine.connect() as connection, connection.begin():
            wrong: list[str] = kind.module.unfit(connection)
            risky: list[str] = kind.module.not_durable(connection)
        if wrong:
            raise NotDurable(f"The database {shown(self.url)} cannot be used: {'; '.join(wrong)}.")
        if risky and checked:
            raise NotDurable(
                f"The database {shown(self.url)} may lose what it has committed: {'; '.join(risky)}. "
                'Set it right, or run on it all the same with [store] durability = "unchecked".'
            )
        for setting in risky:
            log.warning("store_not_durable", setting=setting)

    def start(self) -> None:
        self.database.start()

    def close(self) -> None:
        """Blocks until everything submitted is written."""
        self.database.stop()
        try:
            with self._engine.connect() as connection, connection.begin():
                nodes.release(connection, self.node)
        except SQLAlchemyError as error:
            log.warning("node_not_released", error=told(error))
        self._engine.dispose()


def _reach(engine: Engine, url: URL) -> None:
    try:
        with engine.connect() as connection:
            _ask(connection)
    except SQLAlchemyError as error:
        first = next((line.strip() for line in told(error).splitlines() if line.strip()), type(error).__name__)
        raise StoreUnreachable(f"The database {shown(url)} cannot be reached: {first}") from None


def _ask(connection: Connection) -> None:
    connection.execute(select(1))
