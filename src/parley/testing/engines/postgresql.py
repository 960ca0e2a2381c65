"""A PostgreSQL that keeps its word: every commit is on the disk before it is answered."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import psycopg

from parley.testing.engines.engine import Engine, find_program

USER = "parley"
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
}


class PostgresqlServer(Engine):
    """`url` is of a superuser and names the database `postgres`. `settings` are those of postgresql.conf.

    With `standby_of` it is a hot standby of another server, which must run at the first start: it answers reads,
    refuses writes, and becomes a primary by `promote`.
    """

    name: ClassVar[str] = "postgresql"
    account: ClassVar[str | None] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # SIGTERM would wait until the last client has gone

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int = 0,
        password: str | None = None,
        settings: Mapping[str, str] | None = None,
        standby_of: PostgresqlServer | None = None,
    ) -> None:
        if standby_of is not None:
            password = standby_of.password
        super().__init__(folder, port=port, password=password, settings=settings)
        self._primary = standby_of

    @classmethod
    def programs(cls) -> Mapping[str, str]:
        # Debian keeps several versions side by side and none of them on PATH; the newest serves.
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name.zfill(3))
        return {name: find_program(name, *reversed(folders)) for name in ("initdb", "postgres", "pg_basebackup")}

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{USER}:{self.password}@{self.host}:{self.port}/postgres"

    def make_data(self, folder: Path) -> None:
        if self._primary is not None:
            source = f"host={self._primary.host} port={self._primary.port} user={USER} password={self.password}"
            copy = ("--wal-method", "stream", "--checkpoint", "fast", "--write-recovery-conf")
            self.run(self.programs()["pg_basebackup"], "--pgdata", str(folder), "--dbname", source, *copy)
            return
        secret = self.write_private("password", self.password)
        self.run(
            self.programs()["initdb"],
            "--pgdata", str(folder),
            "--username", USER,
            "--pwfile", str(secret),
            "--auth", "scram-sha-256",
            "--encoding", "UTF8",
            "--locale", "C.UTF-8",
        )  # fmt: skip
        secret.unlink()

    def command(self) -> Sequence[str]:
        settings = {**SETTINGS, "port": str(self.port), **self.settings}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self.programs()["postgres"], "-D", str(self.data), *options]

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the superuser to the database `postgres`, each statement its own transaction."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=USER,
            password=self.password,
            dbname="postgres",
            connect_timeout=2,
            autocommit=True,
        )

    def answers(self) -> bool:
        try:
            with self.connect() as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    def stop_now(self) -> None:
        """An immediate stop: no client is told, no checkpoint is made, the next start recovers from the log."""
        self._end(signal.SIGQUIT)

    def promote(self) -> None:
        """Make a standby a primary that takes writes; return when it does."""
        with self.connect() as connection:
            connection.execute("SELECT pg_promote(wait => true)")
