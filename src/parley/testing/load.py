"""Load for the crash tests: senders and listeners in several rooms, a history for each of them, and the verdict."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Protocol, Self

from parley.testing.account import Account
from parley.testing.checker import Demands, Figures, check
from parley.testing.client import ReferenceClient
from parley.testing.history import Fault, Healed, History, read_history
from parley.testing.outbox import Outbox
from parley.testing.store_log import SqliteLog, StoreLog
from parley.testing.timing import QUICK, Timing
from parley.testing.truth import Breach, breach

WORDS = ("hello", "你好", "naïve", "\U0001f680", 'quote " and \\', "line\nbreak", "<b>", "\u202e")


@dataclass(frozen=True, slots=True)
class Size:
    """Each sender writes in two rooms at once and hears both; each listener hears all of them."""

    rooms: int = 3
    senders: int = 6
    listeners: int = 2


class Target(Protocol):
    """What load is put on: a server, or the nodes of a cluster."""

    @property
    def urls(self) -> Sequence[str]: ...

    def truth(self) -> StoreLog | None:
        """What is stored; None if there is nothing to read."""


class Load:
    """Everybody who talks to one server, or to the nodes of a cluster, spread over them.

    Enter it when the server runs; it connects, and sends while `flowing()`. Histories and outboxes are files in
    `folder`, which must not lie on a disk that the test breaks.
    """

    def __init__(
        self,
        server: Target,
        folder: Path,
        random: Random,
        *,
        size: Size | None = None,
        timing: Timing = QUICK,
        ws_base: str | None = None,
        pause_s: float = 0.0,
    ) -> None:
        """`pause_s`: between an ack and the sender's next message; without it, senders take all of a small machine."""
        self.server = server
        self.clients: list[ReferenceClient] = []
        self.rooms: list[str] = []
        self.latencies: deque[float] = deque(maxlen=1_000_000)
        """Seconds from `send` to its ack, retries and reconnects included."""
        self.acked = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._random = random
        self._size = size or Size()
        self._timing = timing
        self._ws_base = ws_base
        self._pause_s = pause_s
        self._senders: list[tuple[ReferenceClient, str]] = []
        self._flows = False
        self._progress = asyncio.Event()
        self._faults = History(folder / "faults.jsonl", "faults")

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._close()
            raise
        return self

    async def _open(self) -> None:
        size, names = self._size, [f"u{n}" for n in range(self._size.senders + self._size.listeners)]
        urls = list(self.server.urls)
        accounts = [await Account.open(urls[0], name) for name in names]
        ids = [account.user_id for account in accounts]
        self.rooms = [await accounts[0].create_room(f"room-{n}", ids[1:]) for n in range(size.rooms)]
        for n, (name, account) in enumerate(zip(names, accounts, strict=True)):
            client = ReferenceClient(
                account,
                History(self._folder / f"{name}.jsonl", name),
                outbox=Outbox(self._folder / f"{name}.outbox"),
                ws_base=self._ws_base,
                nodes=urls[n % len(urls) :] + urls[: n % len(urls)],
                random=Random(self._random.random()),
                timing=self._timing,
            )
            self.clients.append(await client.__aenter__())
            if n < size.senders:
                rooms = {self.rooms[n % size.rooms], self.rooms[(n + 1) % size.rooms]}
                self._senders += [(client, room) for room in sorted(rooms)]
        for client in self.clients:
            await client.until(lambda c: set(self.rooms) <= c.cursors.keys(), within=30)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()
        if isinstance(error, Exception) and not isinstance(error, Breach) and self.server.truth() is not None:
            # Clients that wait for ever are often the first sign of a broken promise: say which one. Their logs are
            # not compared with the store, because nobody has claimed yet to hold all of it.
            self._judge(Demands())

    async def _close(self) -> None:
        results = await asyncio.gather(*(client.close() for client in self.clients), return_exceptions=True)
        for client in self.clients:
            client.history.close()
        self._faults.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    # --- sending -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def flowing(self, *, drain_s: float = 30.0) -> AsyncIterator[None]:
        """Senders send one after the other inside; on exit all of it is acknowledged. A refused send is raised here."""
        self._flows = True
        tasks = [asyncio.create_task(self._send(client, room)) for client, room in self._senders]
        try:
            yield
            self._flows = False
            async with asyncio.timeout(drain_s):
                await asyncio.gather(*tasks)
        finally:
            self._flows = False
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result

    async def _send(self, client: ReferenceClient, room: str) -> None:
        number = 0
        while self._flows:
            number += 1
            word = self._random.choice(WORDS)
            text = f"{client.history.client} {room} {number} {word * self._random.randint(0, 20)}"
            begun = time.monotonic()
            await client.send(room, text)
            self.latencies.append(time.monotonic() - begun)
            self.acked += 1
            self._progress.set()
            self._progress = asyncio.Event()
            if self._pause_s:
                await asyncio.sleep(self._pause_s)

    async def until_acked(self, more: int, *, within: float = 30.0) -> None:
        """Wait for so many more acks."""
        target = self.acked + more
        async with asyncio.timeout(within):
            while self.acked < target:
                await self._progress.wait()

    def refusals(self) -> int:
        """How many attempts were answered with an error so far."""
        return sum(client.refusals for client in self.clients)

    async def until_refused(self, count: int, *, within: float = 30.0) -> None:
        """Wait until so many attempts have been refused since the beginning."""
        async with asyncio.timeout(within):
            while self.refusals() < count:
                heard = [asyncio.ensure_future(client.changed()) for client in self.clients]
                await asyncio.wait(heard, return_when=asyncio.FIRST_COMPLETED)
                for waiting in heard:
                    waiting.cancel()

    # --- faults and verdict ------------------------------------------------------------------------------------------

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Note that something is broken inside. Enter it at that moment; leave it when the server can work again."""
        self._faults.write(Fault(name=name))
        yield
        self._faults.write(Healed(name=name))

    async def settle(self, *, within: float = 15.0) -> None:
        """Wait until everybody holds everything, and let them say so in their histories. Nothing may be flowing.

        Past the bound they say it all the same, and the checker tells who misses what.
        """
        asker = self.clients[0].account
        heads = {room: (await asker.get(f"/conversations/{room}"))["head"] for room in self.rooms}
        deadline = time.monotonic() + within
        for client in self.clients:
            left = max(0.0, deadline - time.monotonic())
            with suppress(TimeoutError):
                await client.until(lambda c: all(c.cursors.get(room, 0) >= heads[room] for room in heads), within=left)
        for client in self.clients:
            client.finish()

    def check(self, demands: Demands | None = None) -> Figures:
        """Hold all histories against the store, and all logs. Call it after `settle`, when the server is at rest."""
        figures = self._judge(demands or Demands())
        store = self.server.truth()
        assert store is not None
        self._compare_logs(store)
        return figures

    def _judge(self, demands: Demands) -> Figures:
        store = self.server.truth()
        if store is None:
            breach("ran", "there is no store to hold the histories against")
        if isinstance(store, SqliteLog) and (opinion := store.check_database()) != "ok":
            breach("I1", f"the database is corrupt: {opinion}")
        paths = [client.history.path for client in self.clients] + [self._faults.path]
        return check((read_history(path) for path in paths), store, demands)

    def _compare_logs(self, store: StoreLog) -> None:
        """What each client shows is what the store holds, entry for entry."""
        for room in self.rooms:
            wanted = [(row.seq, row.kind, row.client_id) for row in store.entries(room) if row.seq is not None]
            for client in self.clients:
                shown = [(entry.seq, entry.kind, entry.client_id) for entry in client.log(room)]
                if shown != wanted:
                    breach(
                        "I4", f"{client.history.client} shows {len(shown)} entries of {room}, not these {len(wanted)}"
                    )

    def p99(self) -> float:
        ordered = sorted(self.latencies)
        return ordered[int(len(ordered) * 0.99)] if ordered else 0.0
