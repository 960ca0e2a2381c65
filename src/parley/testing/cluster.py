"""Several nodes over one database, as processes of their own that can be killed, drained and started again.

async with running_cluster(folder, nodes=3, store=postgresql_url, redis=redis_url) as cluster:
    …cluster.urls…
    cluster.nodes[1].kill()
    await cluster.nodes[1].started()

The engines are given by their addresses: those that all tests share, or a test's own that it may kill. A cluster takes
a fresh database, and topics and Redis channels of its own, and leaves nothing in a shared engine.
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from parley.testing.server import PARLEY, UNLIMITED, ServerDied, ServerProcess, environment, running_server, steady_port
from parley.testing.sql_log import SqlLog
from parley.testing.store_log import SqliteLog, StoreLog

LogKind = Literal["direct", "kafka"]
MIGRATE_S = 60.0


@dataclass(frozen=True, slots=True)
class Engines:
    """Where the engines of a cluster are. An empty `redis` or `kafka`: without it.

    `store` is the SQLAlchemy address of a server on which databases may be made, or "sqlite": one node, one file.
    """

    store: str
    redis: str = ""
    kafka: str = ""


class Cluster:
    """Nodes that share a database. Made by `running_cluster`; all of them end with it, and so does their database."""

    def __init__(
        self,
        folder: Path,
        engines: Engines,
        *,
        nodes: int,
        log: LogKind,
        settings: Mapping[str, str],
        program: tuple[str, ...],
        arguments: Sequence[tuple[str, ...]],
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.name = f"parley_{secrets.token_hex(5)}"
        self._engines = engines
        self._program = program
        self.database: URL | None = None
        if engines.store != "sqlite":
            self.database = make_url(engines.store).set(database=self.name)
        self.settings = {**UNLIMITED, **self._settings(log), **settings}
        self.nodes = [
            running_server(
                folder / f"node-{number}",
                settings=self.settings,
                log_path=folder / f"node-{number}.log",
                port=steady_port(),
                program=program,
                arguments=arguments[number] if number < len(arguments) else (),
            )
            for number in range(nodes)
        ]

    def _settings(self, log: LogKind) -> dict[str, str]:
        key = self.folder / "signing.key"
        if not key.exists():
            key.write_bytes(secrets.token_bytes(32))
        settings = {"auth.signing_key_file": str(key)}
        if self.database is not None:
            settings["store.url"] = self.database.render_as_string(hide_password=False)
        if self._engines.redis:
            settings["redis.url"] = self._engines.redis
        if self._engines.kafka:
            settings |= {
                "kafka.bootstrap": self._engines.kafka,
                "kafka.commands": f"{self.name}.commands",
                "kafka.results": f"{self.name}.results",
            }
        return settings | {"log.kind": log}

    @property
    def urls(self) -> list[str]:
        """Of the nodes that serve clients."""
        return [node.url for node in self.nodes]

    def truth(self) -> StoreLog:
        if self.database is None:
            return SqliteLog(self.nodes[0].store)
        return SqlLog(self.database.render_as_string(hide_password=False))

    def migrate(self) -> None:
        """Make the tables, as whoever operates a cluster does. Raises `ServerDied`."""
        done = subprocess.run(
            [*self._program, "migrate", "--data", str(self.folder / "node-0")],
            env=environment(self.settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MIGRATE_S,
            check=False,
        )
        if done.returncode:
            raise ServerDied(f"migrate: exit code {done.returncode}\n{done.stdout}{done.stderr}")

    async def roll(self, *, gracefully: bool = True) -> None:
        """Every node once, one after the other, as an upgrade does it."""
        for node in self.nodes:
            await node.restarted(gracefully=gracefully)

    async def terminated(self) -> None:
        """SIGTERM to all nodes. Raises `ServerDied` if one says that it failed."""
        for code in await asyncio.gather(*(node.terminated() for node in self.nodes)):
            if code != 0:
                raise ServerDied(f"a node ended with {code} after SIGTERM")

    def complaints(self) -> list[str]:
        """What the nodes' logs say of errors."""
        return [line for node in self.nodes for line in node.complaints()]

    def log_tail(self) -> str:
        return "\n".join(f"--- {node.log_path.name}\n{node.log_tail()}" for node in self.nodes)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._make_database)
        try:
            await asyncio.to_thread(self.migrate)
            await asyncio.gather(*(node.started() for node in self.nodes))
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, self._drop_database)
            for node in self.nodes:
                stack.callback(node.kill)

    def _make_database(self) -> None:
        if self.database is not None:
            self._administer(f"CREATE DATABASE {self.name}{OPTIONS[self.database.get_backend_name()]}")

    def _drop_database(self) -> None:
        if self.database is not None:
            force = " WITH (FORCE)" if self.database.get_backend_name() == "postgresql" else ""
            self._administer(f"DROP DATABASE IF EXISTS {self.name}{force}")

    def _administer(self, statement: str) -> None:
        engine = create_engine(self._engines.store, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))


OPTIONS = {
    "postgresql": " ENCODING 'UTF8' TEMPLATE template0",
    "mysql": " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "mariadb": " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
}


def running_cluster(
    folder: Path,
    engines: Engines,
    *,
    nodes: int = 3,
    log: LogKind = "direct",
    settings: Mapping[str, str] | None = None,
    program: tuple[str, ...] = PARLEY,
    arguments: Sequence[tuple[str, ...]] = (),
) -> Cluster:
    """A cluster, as an `async with` context: all nodes ready on entry, gone on exit, with their database.

    `settings` go to every node, on top of `UNLIMITED`; `arguments[n]` are added to the command line of node n.
    """
    return Cluster(
        folder,
        engines,
        nodes=nodes,
        log=log,
        settings=settings or {},
        program=program,
        arguments=arguments,
    )


__all__ = ["Cluster", "Engines", "ServerProcess", "running_cluster"]
