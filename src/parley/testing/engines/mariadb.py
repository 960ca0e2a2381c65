"""A MariaDB that keeps its word: every commit is on the disk before it is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pymysql
from pymysql.connections import Connection

from parley.testing.engines.engine import Engine, find_program

USER = "parley"
SETTINGS: Mapping[str, str] = {
    "bind-address": "127.0.0.1",
    "skip-name-resolve": "ON",
    "character-set-server": "utf8mb4",
    "max-connections": "300",
    "innodb-buffer-pool-size": "128M",
    "innodb-log-file-size": "64M",
    "innodb-flush-log-at-trx-commit": "1",
    "innodb-doublewrite": "ON",
    "default-time-zone": "+00:00",
}


class MariadbServer(Engine):
    """`url` is of a user with every right and names no database. `settings` are mariadbd's options without dashes."""

    name: ClassVar[str] = "mariadb"
    account: ClassVar[str | None] = "mysql"

    @classmethod
    def programs(cls) -> Mapping[str, str]:
        return {name: find_program(name) for name in ("mariadb-install-db", "mariadbd")}

    @property
    def url(self) -> str:
        return f"mariadb+pymysql://{USER}:{self.password}@{self.host}:{self.port}/?charset=utf8mb4"

    def make_data(self, folder: Path) -> None:
        self.run(
            self.programs()["mariadb-install-db"],
            "--no-defaults",
            f"--datadir={folder}",
            f"--innodb-log-file-size={SETTINGS['innodb-log-file-size']}",
            "--auth-root-authentication-method=socket",
            "--skip-test-db",
        )

    def command(self) -> Sequence[str]:
        # Run at every start, before the first connection: the user is there even if the first start was cut short.
        users = self.write_private(
            "users.sql",
            f"CREATE USER IF NOT EXISTS {USER}@'127.0.0.1' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO {USER}@'127.0.0.1' WITH GRANT OPTION;\n",
        )
        settings = {**SETTINGS, "port": str(self.port), **self.settings}
        return [
            self.programs()["mariadbd"],
            "--no-defaults",
            f"--datadir={self.data}",
            f"--init-file={users}",
            "--socket=mariadb.sock",  # in the data: a whole path may be longer than a socket's may be
            f"--pid-file={self.folder / 'mariadbd.pid'}",
            *(f"--{name}={value}" for name, value in settings.items()),
        ]

    def connect(self) -> Connection:
        """A connection of the user with every right, each statement its own transaction."""
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=USER,
            password=self.password,
            charset="utf8mb4",
            connect_timeout=2,
            read_timeout=2,
            autocommit=True,
        )

    def answers(self) -> bool:
        try:
            with self.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                return cursor.fetchone() == (1,)
        except pymysql.err.OperationalError:
            return False

    def stop_now(self) -> None:
        """A cold stop, as after a crash: only the log is written, the next start recovers from it."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET GLOBAL innodb_fast_shutdown = 2")
        self.stop()
