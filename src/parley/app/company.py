"""What a node among others does beside its work: keep its number, and ask the store what nobody told it."""

import asyncio
from collections.abc import Callable

import structlog

from parley.app.stores import Store
from parley.gateway.endings import Endings
from parley.gateway.heads import Heads
from parley.gateway.hub import Hub
from parley.services.accounts import Accounts
from parley.store.interface import Database, StoreUnavailable
from parley.store.sql import nodes
from parley.store.sql.nodes import Node

log = structlog.get_logger()

RENEW_S = 5.0
"""A twelfth of the claim's life: many may fail."""


class Claim:
    """The number of this process, renewed until `stop`. It stands in the ids that are made here."""

    def __init__(self, database: Database, node: Node, on_lost: Callable[[], None]) -> None:
        """`on_lost`: another process has the number, because this one slept for longer than a claim lasts."""
        self._database = database
        self._node = node
        self._on_lost = on_lost
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
            self._running = None

    async def _run(self) -> None:
        held = True
        while held:
            await asyncio.sleep(RENEW_S)
            try:
                held = await self._database.write(lambda connection: nodes.renew(connection, self._node))
            except StoreUnavailable as error:
                # Nobody takes a number from a database that does not answer; and what cannot be written makes no ids.
                log.warning("node_not_renewed", node=self._node.id, error=str(error))
        log.critical("node_number_lost", node=self._node.id)
        self._on_lost()


class Company:
    """`start` when sockets may come; `stop` before the store is closed."""

    def __init__(self, hub: Hub, store: Store, accounts: Accounts, on_lost: Callable[[], None]) -> None:
        # Also where there is one process: what ends a session need not be a request to it.
        self._parts: list[Heads | Endings | Claim] = [Endings(hub, accounts.sessions)]
        if store.shared:
            heads = Heads(hub, store.database)
            hub.on_listening.append(heads.listening)
            self._parts += [heads, Claim(store.database, store.node, on_lost)]

    def start(self) -> None:
        for part in self._parts:
            part.start()

    async def stop(self) -> None:
        for part in self._parts:
            await part.stop()
