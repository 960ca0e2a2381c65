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

from sqlalchemy import make_url

from parley.testing.server import PARLEY, UNLIMITED, ServerDied, ServerProcess, environment, running_server, steady_port
from parley.testing.shared import own_database, own_name, own_redis, own_topics
from parley.testing.sql_log import SqlLog
from parley.testing.store_log import SqliteLog, StoreLog

LogKind = Literal["direct", "kafka"]
MIGRATE_S = 60.0


@dataclass(frozen=True, slots=True)
class Engines:
    """Where the engines of a cluster are. An empty `redis` or `kafka`: without it.

    `store` is the SQLAlchemy address of a server on which databases may be made. Empty: one node with its own file.
    """

    store: str = ""
    redis: str = ""
    kafka: str = ""
    store_port: int = 0
    """Where the nodes reach the store on this machine, if not where it is: such as a proxy that breaks things."""


class Cluster:
    """Nodes that share a database. Made by `running_cluster`; all of them end with it, and so does their database.

    The engines must be up when it is entered and when it is left.
    """

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
        self.settings = {**UNLIMITED, "log.kind": log, **settings}
        self.store_url = ""
        """Of the cluster's own database, from when it is entered."""
        self.nodes = [
            running_server(
                folder / f"node-{number}",
                log_path=folder / f"node-{number}.log",
                port=steady_port(),
                program=program,
                arguments=arguments[number] if number < len(arguments) else (),
            )
            for number in range(nodes)
        ]
        self._engines = engines
        self._program = program
        self._stack = AsyncExitStack()

    async def _places(self, stack: AsyncExitStack) -> dict[str, str]:
        """The settings that name this cluster's own database, keys, channels and topics, which are gone afterwards."""
        key = self.folder / "signing.key"
        key.write_bytes(secrets.token_bytes(32))
        settings = {"auth.signing_key_file": str(key)}
        if self._engines.store:
            self.store_url = settings["store.url"] = stack.enter_context(own_database(self._engines.store))
            if port := self._engines.store_port:
                settings["store.url"] = make_url(self.store_url).set(port=port).render_as_string(hide_password=False)
        if self._engines.redis:
            settings["redis.url"] = stack.enter_context(own_redis(self._engines.redis))
            settings["redis.prefix"] = own_name()
        if self._engines.kafka:
            topics = await stack.enter_async_context(own_topics(self._engines.kafka))
            settings |= {
                "kafka.bootstrap": topics.bootstrap,
                "kafka.commands": f"{topics.prefix}commands",
                "kafka.results": f"{topics.prefix}results",
                "kafka.replicas": "1",
                "kafka.partitions": "4",
            }
            if "kafka.stream" in self.settings:
                settings["kafka.stream"] = f"{topics.prefix}{self.settings['kafka.stream']}"
        return settings

    @property
    def urls(self) -> list[str]:
        """Of the nodes that serve clients."""
        return [node.url for node in self.nodes]

    def truth(self) -> StoreLog:
        return SqlLog(self.store_url) if self.store_url else SqliteLog(self.nodes[0].store)

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
        async with AsyncExitStack() as stack:
            self.settings |= await self._places(stack)
            for node in self.nodes:
                node.settings = self.settings
                stack.callback(node.kill)
            await asyncio.to_thread(self.migrate)
            await asyncio.gather(*(node.started() for node in self.nodes))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()


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
