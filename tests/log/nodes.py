"""Processes of a log through Kafka, as many as a test wants, on one event loop and one store."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.log.logs import INBOX, GatedStore, Watched

from parley.log.appender import Appender
from parley.log.direct import DirectLog
from parley.log.envelope import Origin
from parley.log.figures import AppenderMetrics
from parley.log.kafka import KafkaLog
from parley.log.kafka_results import Answers
from parley.log.kafka_topics import create_topics, log_topics
from parley.log.places import Places, looking_up
from parley.log.unanswered import LookUp, Times
from parley.protocol.commands import SendMessage
from parley.protocol.events import Ack, Entry
from parley.protocol.types import ConversationId, UserId
from parley.store.interface import Append, BatchStore, Database, Outcome, StoreBroken
from parley.testing.clock import FakeClock

PARTITIONS = 4
EPOCH = "the-epoch"
PATIENCE = 30.0
PATIENT = Times(look_up=60.0, give_up=60.0, stall=60.0)
"""For tests that are not about time."""


class Tally:
    """A counter or a gauge."""

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        self.value += amount

    def set(self, value: float) -> None:
        self.value = value


class GatedPlaces(Places):
    """Where a `GatedStore` stands."""

    def __init__(self, store: GatedStore, topic: str) -> None:
        self._gated = store
        self._name = topic
        self.aside: list[tuple[int, int, str, bytes]] = []

    async def of(self, partitions: Collection[int], kept: Callable[[], object]) -> dict[int, int]:
        return {it: self._gated.offsets.setdefault((self._name, it), 0) for it in partitions}

    async def set_aside(self, records: Sequence[tuple[int, int, str, bytes]]) -> int:
        self.aside += records
        return len(records)


async def nothing_found(keys: Sequence[tuple[UserId, str]]) -> dict[tuple[UserId, str], Ack]:
    return {}


@dataclass
class Wires:
    """Two topics of a test's own on a broker."""

    bootstrap: str
    prefix: str
    partitions: int = PARTITIONS

    @property
    def commands(self) -> str:
        return f"{self.prefix}commands"

    @property
    def results(self) -> str:
        return f"{self.prefix}results"

    async def make(self) -> Wires:
        await create_topics(
            self.bootstrap, log_topics(self.commands, self.results, partitions=self.partitions, replicas=1)
        )
        return self


@dataclass
class Node:
    """One process's part: a gateway, an appender, or both."""

    wires: Wires
    store: BatchStore
    places: Places
    look_up: LookUp = nothing_found
    times: Times = field(default_factory=Times)
    partition: int = 0
    inbox: int = 500
    let_go_seconds: float = 5.0
    on_publish: Callable[[Sequence[Entry]], None] = lambda entries: None
    published: list[Entry] = field(default_factory=list)
    broken: list[StoreBroken] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lag, self.poison, self.unknown, self.lost = Tally(), Tally(), Tally(), Tally()
        self.origin = Origin(secrets.token_hex(4), self.partition)
        wires = self.wires
        self.answers = Answers(wires.bootstrap, wires.results, wires.partitions, self.lost)
        marks = DirectLog(self.store, self._publish, turn_done=lambda: None, on_broken=self.broken.append)
        self.log = KafkaLog(
            wires.bootstrap, wires.commands, wires.results, partitions=wires.partitions, origin=self.origin,
            epoch=EPOCH, marks=marks, look_up=self.look_up, turn_done=lambda: None, unknown=self.unknown,
            inbox=self.inbox, times=self.times,
        )  # fmt: skip
        self.appender = Appender(
            wires.bootstrap, wires.commands, store=self.store, places=self.places, answers=self.answers,
            publish=self._publish, turn_done=lambda: None, on_broken=self.broken.append,
            metrics=AppenderMetrics(self.lag, self.poison), epoch=EPOCH, session_ms=6_000,
            let_go_seconds=self.let_go_seconds,
        )  # fmt: skip
        self._gateway = self._appending = False

    def _publish(self, entries: Sequence[Entry]) -> None:
        self.on_publish(entries)
        self.published += entries

    async def open(self, *, gateway: bool = True, appender: bool = True) -> Node:
        if gateway:
            await self.log.start()
            self._gateway = True
        if gateway and appender:
            self.answers.here(self.origin.boot, self.log.settle)
        if appender:
            await self.answers.start()
            await self.appender.start()
            self._appending = True
        return self

    async def stop_appending(self) -> None:
        self._appending = False
        await self.appender.stop()
        await self.answers.stop()

    async def close(self) -> None:
        """Without a drain: a test that wants one does it."""
        if self._appending:
            await self.stop_appending()
        if self._gateway:
            self._gateway = False
            await self.log.stop()

    def submit(self, actor: UserId, here: ConversationId, client_id: str) -> asyncio.Future[Outcome]:
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        # Twice would be an InvalidStateError in the log, which fails the test.
        self.log.submit(Append(actor, SendMessage(here, client_id, "hello")), answer.set_result)
        return answer

    async def send(self, actor: UserId, here: ConversationId, client_id: str) -> Outcome:
        async with asyncio.timeout(PATIENCE):
            return await self.submit(actor, here, client_id)


def real_node(wires: Wires, batches: BatchStore, database: Database, **more: object) -> Node:
    """Over a real store."""
    places = Places(database, FakeClock(), wires.commands)
    return Node(wires, batches, places, looking_up(database), **more)  # type: ignore[arg-type]  # named by the caller


@asynccontextmanager
async def kafka_log(watched: Watched, wires: Wires) -> AsyncIterator[None]:
    """A gateway and an appender in one process."""
    node = Node(wires, watched.store, GatedPlaces(watched.store, wires.commands), inbox=INBOX, times=PATIENT)
    node.on_publish = watched.publish
    watched.log = node.log
    await node.open()
    try:
        yield
    finally:
        await node.close()
