"""Which store: one process's SQLite file, or a database that several nodes share."""

from pathlib import Path
from typing import Protocol

import structlog
from sqlalchemy import func, select

from parley.clock import Clock
from parley.ids import Snowflakes
from parley.services.tokens import signing_key
from parley.settings import Settings
from parley.store.batches import SqlBatches
from parley.store.interface import BatchStore
from parley.store.migrate import upgrade
from parley.store.moved import refuse_if_moved
from parley.store.sql.fetch import epoch
from parley.store.sql.hot import SqliteHot
from parley.store.sql.nodes import Node
from parley.store.sqlite import FolderLock, reader_engine, writer_engine
from parley.store.tables import entries
from parley.store.threads import SqlDatabase

log = structlog.get_logger()

READERS = 4


class Store(Protocol):
    """What the rest is put together over. `start` before use; `close` once, when nobody asks any more."""

    @property
    def node(self) -> Node:
        """This process among those that work on the database."""

    @property
    def shared(self) -> bool:
        """Whether there may be others."""

    @property
    def epoch(self) -> str: ...
    @property
    def ids(self) -> Snowflakes: ...
    @property
    def database(self) -> SqlDatabase: ...
    @property
    def batches(self) -> BatchStore: ...

    def start(self) -> None: ...

    def close(self) -> None:
        """Blocks until everything submitted is written."""


class Embedded:
    """The store of one process: a locked data folder with one SQLite file, brought to this version's schema."""

    node = Node(0, "", "gateway,appender")
    shared = False

    def __init__(self, data: Path, file: Path, clock: Clock) -> None:
        """Blocks. Raises DataFolderInUse, SchemaMismatch."""
        self._lock = FolderLock(data)
        writer = writer_engine(file)
        try:
            if copy := upgrade(writer, now_ms=clock.now_ms()):
                log.info("database_upgraded", copy=copy.name)
            with writer.connect() as connection, connection.begin():
                refuse_if_moved(connection)
                self.epoch = epoch(connection)
                last_id = connection.scalar(select(func.max(entries.c.id))) or 0
        except BaseException:
            writer.dispose()
            self._lock.release()
            raise
        self.ids = Snowflakes(clock, after=last_id)
        self._engine = writer
        self.database = SqlDatabase(writer, reader_engine(file, READERS), READERS)
        self.batches = SqlBatches(self.database.writer, SqliteHot(), self.ids, clock, inline=True)

    def start(self) -> None:
        self.database.start()

    def close(self) -> None:
        self.database.stop()
        self._engine.dispose()
        self._lock.release()


def open_store(settings: Settings, clock: Clock) -> Store:
    """By `[store] url`. Blocks. Raises DataFolderInUse, SchemaMismatch, BadStoreUrl, StoreUnreachable, NotDurable,
    NoFreeNode."""
    if is_sqlite(settings.store_url):
        return Embedded(settings.server.data, sqlite_file(settings.store_url), clock)
    from parley.app.over_sql import OfMany  # noqa: PLC0415 - a server on SQLite starts faster

    checked = settings.store.durability == "checked"
    return OfMany(settings.store_url, clock, roles=",".join(settings.server.roles), checked=checked)


def is_sqlite(url: str) -> bool:
    return url.startswith("sqlite:///")


def sqlite_file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def open_key(settings: Settings) -> bytes:
    """The key that signs tokens, made on first start unless a file was named. Raises BadSigningKey."""
    return signing_key(settings.signing_key_path, make=settings.auth.signing_key_file is None)
