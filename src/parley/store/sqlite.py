"""SQLite as the store of one process: WAL, every commit synced, an exclusive lock on the data folder."""

import asyncio
import fcntl
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool

BUSY_MS = 5000


class DataFolderInUse(Exception):
    """Another server runs on this folder."""


class FolderLock:
    """Holds a data folder for this process. The kernel lets go of it when the process dies, however it dies."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise DataFolderInUse(f"another server is running on the data folder {folder}") from None

    def release(self) -> None:
        os.close(self._fd)


def writer_engine(file: Path) -> Engine:
    """The one connection that writes and checkpoints."""
    return _engine(
        file,
        # fullfsync: on macOS an fsync reaches the drive, not the disk; elsewhere it changes nothing.
        ("journal_mode=WAL", "synchronous=FULL", "fullfsync=ON", "wal_autocheckpoint=4000", "cache_size=-65536"),
        "BEGIN IMMEDIATE",
        wait=False,
    )


def reader_engine(file: Path, readers: int) -> Engine:
    """Connections that cannot write and never checkpoint."""
    return _engine(file, ("query_only=ON", "wal_autocheckpoint=0", "cache_size=-16384"), "BEGIN", readers)


def _engine(file: Path, pragmas: tuple[str, ...], begin: str, size: int = 1, *, wait: bool = True) -> Engine:
    """`wait`: its threads may all wait for a lock that another process holds, such as an administrator's shell."""
    engine = create_engine(
        f"sqlite+pysqlite:///{file}",
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        connect_args={
            "check_same_thread": False,
            "isolation_level": None,
            "timeout": BUSY_MS / 1000,
            "cached_statements": 256,
        },
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: DBAPIConnection, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("foreign_keys=ON", "temp_store=MEMORY", *pragmas, *(() if wait else ("busy_timeout=0",))):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        try:
            connection.exec_driver_sql(begin)
        except OperationalError:
            # Batches begin on the event loop, where all sockets would wait with this one.
            if wait or _on_event_loop():
                raise
            connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_MS}")
            try:
                connection.exec_driver_sql(begin)
            finally:
                connection.exec_driver_sql("PRAGMA busy_timeout=0")

    return engine


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def backup(file: Path, suffix: str) -> Path:
    """A consistent copy beside the file, made by SQLite's own backup, for before a migration. Returns its path."""
    copy = file.with_name(f"{file.name}.{suffix}")
    part = copy.with_suffix(copy.suffix + ".part")
    with sqlite3.connect(file) as source, sqlite3.connect(part) as target:
        source.backup(target)
    source.close()
    target.close()
    shutil.move(part, copy)
    return copy
