"""Records of the commands topic, read from where the store stands: a member of the group that shares its partitions.

The group decides who reads a partition, the store decides from where. What is read is not remembered anywhere until a
batch was written, so letting go of a partition is forgetting what was read of it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from parley.log.batching import Batch, Fetched, decode, gather
from parley.log.figures import AppenderMetrics
from parley.log.places import Kept, Places
from parley.store.interface import StoreUnavailable

log = structlog.get_logger()

AHEAD = 2_000
"""Commands that wait for their batch; with so many, nothing more is fetched."""
POLL_MS = 500
HEARTBEAT_MS = 500
"""So soon a member hears that partitions are to move; meanwhile they stand still."""
REMEMBER_SECONDS = 5.0
"""How often the group is told how far it is, for Kafka's tools."""
AGAIN_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)


class Intake(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Belongs to one event loop. Order: each partition's records, as Kafka has them."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        *,
        places: Places,
        metrics: AppenderMetrics,
        epoch: str,
        session_ms: int,
        arrived: Callable[[], None],
        leaving: Callable[[], Awaitable[None]],
    ) -> None:
        """`arrived` is called when there is something to `take`. `leaving` is awaited when partitions go to somebody
        else: what is being written should be finished first."""
        self.topic = topic
        self._bootstrap = bootstrap
        self._places = places
        self._metrics = metrics
        self._epoch = epoch
        self._session_ms = session_ms
        self._arrived = arrived
        self._leaving = leaving
        self._loop = asyncio.get_running_loop()
        self._consumer: AIOKafkaConsumer | None = None
        self._running: asyncio.Task[None] | None = None
        self._stopping = False
        self._placing = asyncio.Lock()
        self._next: dict[int, int] = {}
        """partition -> the offset that has to come next. A partition that is not in it has no known place."""
        self._stored: dict[int, int] = {}
        """partition -> the offset that the store has."""
        self._ready: deque[Fetched] = deque()
        self._ready_commands = 0
        self._room = asyncio.Event()
        self._room.set()

    # Its life

    async def start(self) -> None:
        """Return when it is a member of the group. Raises KafkaError."""
        consumer = await self._open()
        self._running = self._loop.create_task(self._run(consumer))

    async def _open(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, group_id=f"{self.topic}.appenders", enable_auto_commit=False,
            auto_offset_reset="none", session_timeout_ms=self._session_ms, heartbeat_interval_ms=HEARTBEAT_MS,
            request_timeout_ms=self._session_ms + 5_000, fetch_max_wait_ms=POLL_MS,
        )  # fmt: skip
        self._consumer = consumer
        consumer.subscribe([self.topic], listener=self)
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    async def _run(self, consumer: AIOKafkaConsumer | None) -> None:
        while True:
            try:
                consumer = consumer or await self._open()
                await self._consume(consumer)
            except (KafkaError, OSError) as error:
                log.warning("kafka_not_read", topic=self.topic, error=repr(error))
            finally:
                if consumer is not None:
                    await consumer.stop()
            consumer = None
            await self._let_go()
            await asyncio.sleep(AGAIN_SECONDS[-1])

    async def stop(self) -> None:
        """Leave the group, when what is being written is."""
        self._stopping = True
        await self._let_go()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    # Partitions come and go

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._let_go()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        try:
            await self._place()
        except (KafkaError, StoreUnavailable) as error:
            # The loop that reads tries again.
            log.warning("partitions_not_placed", error=repr(error))

    async def _let_go(self) -> None:
        self.forget(list(self._next))
        await self._leaving()
        self._stored.clear()

    def forget(self, partitions: Iterable[int]) -> None:
        """What was read of them; it is read again from where the store stands, if they are still ours."""
        for partition in partitions:
            self._next.pop(partition, None)
        self._ready = deque(fetched for fetched in self._ready if fetched.partition in self._next)
        self._ready_commands = sum(len(fetched.commands) for fetched in self._ready)
        self._make_room()

    async def _place(self) -> None:
        """Go to where the store stands, with every partition whose place is not known. Raises StoreUnavailable,
        KafkaError."""
        async with self._placing:
            consumer = self._consumer
            assert consumer is not None
            here = {it.partition: it for it in consumer.assignment()}
            missing = here.keys() - self._next.keys()
            if not missing or self._stopping:
                return
            places = await self._places.of(missing, lambda: self._kept([here[it] for it in missing]))
            for partition in missing:
                if here[partition] in consumer.assignment():
                    consumer.seek(here[partition], places[partition])
                    self._next[partition] = self._stored[partition] = places[partition]

    async def _kept(self, partitions: list[TopicPartition]) -> Kept:
        assert self._consumer is not None
        first = await self._consumer.beginning_offsets(partitions)
        after = await self._consumer.end_offsets(partitions)
        return {it.partition: (first[it], after[it]) for it in partitions}

    # Reading

    async def _consume(self, consumer: AIOKafkaConsumer) -> None:
        remembered = self._loop.time()
        failures = 0
        while True:
            await self._room.wait()
            try:
                await self._place()
                await self._add(await consumer.getmany(timeout_ms=POLL_MS))
                failures = 0
            except (NoOffsetForPartitionError, OffsetOutOfRangeError):
                # Read before it was placed, or Kafka has lost what was next.
                self.forget(list(self._next))
            except StoreUnavailable as error:
                log.warning("partitions_not_placed", error=str(error))
                await asyncio.sleep(AGAIN_SECONDS[min(failures, len(AGAIN_SECONDS) - 1)])
                failures += 1
            if self._loop.time() - remembered >= REMEMBER_SECONDS:
                remembered = self._loop.time()
                await self._remember(consumer)

    async def _add(self, got: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        for where, records in got.items():
            fetched = [decode(record, self._epoch) for record in self._in_order(where, records)]
            if poison := [it for it in fetched if it.poison is not None]:
                await self._set_aside(poison)
            if foreign := sum(it.foreign for it in fetched):
                log.warning("commands_for_another_database", topic=where.topic, records=foreign)
            if where.partition in self._next:
                self._ready.extend(fetched)
                self._ready_commands += sum(len(it.commands) for it in fetched)
        if self._ready_commands >= AHEAD:
            self._room.clear()
        if self._ready:
            self._arrived()

    def _in_order(self, where: TopicPartition, records: list[ConsumerRecord]) -> list[ConsumerRecord]:
        """The ones that come next; none, if what comes is not what was asked for."""
        wanted = self._next.get(where.partition)
        if wanted is None:
            return []
        fresh = [record for record in records if record.offset >= wanted]
        if fresh and fresh[0].offset != wanted:
            # Read from somewhere else, before the place was known. Only transactions, which nobody uses here, would
            # leave a true hole.
            assert self._consumer is not None
            self._consumer.seek(where, wanted)
            return []
        if fresh:
            self._next[where.partition] = fresh[-1].offset + 1
        return fresh

    async def _set_aside(self, poison: list[Fetched]) -> None:
        """Before the offset passes them, so that a crash loses none. Raises StoreUnavailable, and then they come
        again."""
        try:
            kept = await self._places.set_aside([(it.partition, it.offset, str(it.poison), it.value) for it in poison])
        except StoreUnavailable:
            self.forget({it.partition for it in poison})
            raise
        self._metrics.poison.inc(kept)

    async def _remember(self, consumer: AIOKafkaConsumer) -> None:
        offsets = {it: self._stored[it.partition] for it in consumer.assignment() if it.partition in self._stored}
        self._metrics.lag.set(sum(max(0, (consumer.highwater(it) or 0) - offset) for it, offset in offsets.items()))
        if not offsets:
            return
        try:
            await consumer.commit(offsets)
        except (KafkaError, IllegalStateError) as error:
            log.debug("group_not_told", error=repr(error))

    # For whoever writes

    def take(self, limit: int) -> Batch | None:
        """The next batch, of up to `limit` commands or one record."""
        if not self._ready:
            return None
        batch = gather(self._ready, limit, self.topic, self._stored)
        self._ready_commands -= len(batch.appends)
        self._make_room()
        return batch

    def give_back(self, batch: Batch) -> None:
        """It comes again with the next `take`. Only for one whose partitions it still `holds`."""
        self._ready.extendleft(reversed(batch.fetched))
        self._ready_commands += len(batch.appends)

    def holds(self, batch: Batch) -> bool:
        """Whether all it was read from is still read here."""
        return all(fence.partition in self._next for fence in batch.fences)

    def written(self, batch: Batch) -> None:
        for fence in batch.fences:
            if self._stored.get(fence.partition) == fence.first:
                self._stored[fence.partition] = fence.after

    def _make_room(self) -> None:
        if self._ready_commands < AHEAD:
            self._room.set()
