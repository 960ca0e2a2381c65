"""Commands from Kafka into the store: a member of the group that shares the partitions of the commands topic.

A batch, the offsets it was read from and nothing else are one transaction. Whoever finds that the offsets are not where
the batch begins was taken for dead and has been replaced: the batch is dropped, whole.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from parley.log.batching import INTERNAL_REASON, Batch, Fetched, decode, gather
from parley.log.figures import AppenderMetrics, BatchMetrics
from parley.log.interface import Publish
from parley.log.kafka_results import Answers
from parley.log.places import Kept, Places
from parley.log.telling import tell
from parley.protocol.errors import Code
from parley.protocol.events import Entry
from parley.store.interface import (
    Appended,
    BatchResult,
    BatchStore,
    Fenced,
    Refused,
    StoreBroken,
    StoreUnavailable,
)

log = structlog.get_logger()

BATCH = 1_000
"""Commands in one transaction."""
AHEAD = 2_000
"""Commands that wait for theirs; with so many, nothing more is fetched."""
POLL_MS = 500
HEARTBEAT_MS = 500
"""So soon a member hears that partitions are to move; meanwhile they stand still."""
REMEMBER_SECONDS = 5.0
"""How often the group is told how far it is, for Kafka's tools."""
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
SPLIT_AFTER = 3
"""Attempts, after which a batch is made half as large: one command must not keep all others out for ever."""
LET_GO_SECONDS = 5.0
"""How long the group waits, when partitions move, for a batch to finish. Longer: its fence stops it."""


class Appender(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Belongs to one event loop. Order: each partition's records, as Kafka has them."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        *,
        store: BatchStore,
        places: Places,
        answers: Answers,
        publish: Publish,
        turn_done: Callable[[], None],
        on_broken: Callable[[StoreBroken], None],
        metrics: AppenderMetrics,
        batch_metrics: BatchMetrics | None = None,
        epoch: str,
        session_ms: int = 10_000,
        let_go_seconds: float = LET_GO_SECONDS,
    ) -> None:
        """`epoch`: of the store's database; commands that were meant for another are passed over. `turn_done` is called
        after a batch was published and answered. `session_ms`: silent for so long, it is taken for dead."""
        self._bootstrap = bootstrap
        self._topic = topic
        self._store = store
        self._places = places
        self._answers = answers
        self._publish = publish
        self._turn_done = turn_done
        self._on_broken = on_broken
        self._metrics = metrics
        self._batch_metrics = batch_metrics
        self._epoch = epoch
        self._session_ms = session_ms
        self._let_go_seconds = let_go_seconds
        self._loop = asyncio.get_running_loop()
        self._consumer: AIOKafkaConsumer | None = None
        self._running: asyncio.Task[None] | None = None
        self._stopping = False
        self._broken = False

        self._placing = asyncio.Lock()
        self._next: dict[int, int] = {}
        """partition -> the offset that has to come next. A partition that is not in it has no known place."""
        self._stored: dict[int, int] = {}
        """partition -> the offset that the store has."""
        self._ready: deque[Fetched] = deque()
        self._ready_commands = 0
        self._room = asyncio.Event()
        self._room.set()
        self._writing: Batch | None = None
        self._retrying: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._limit = BATCH
        self._attempts = 0
        self._keeping: set[asyncio.Task[None]] = set()

    # Its life

    async def start(self) -> None:
        """Return when it is a member of the group. Raises KafkaError."""
        consumer = await self._open()
        self._running = self._loop.create_task(self._run(consumer))

    async def _open(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, group_id=f"{self._topic}.appenders", enable_auto_commit=False,
            auto_offset_reset="none", session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=HEARTBEAT_MS, request_timeout_ms=max(10_000, self._session_ms + 5_000),
            fetch_max_wait_ms=POLL_MS,
        )  # fmt: skip
        self._consumer = consumer
        consumer.subscribe([self._topic], listener=self)
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
                log.warning("kafka_not_read", topic=self._topic, error=repr(error))
            finally:
                if consumer is not None:
                    await consumer.stop()
            consumer = None
            await self._let_go()
            await asyncio.sleep(RETRY_SECONDS[-1])

    async def stop(self) -> None:
        """Finish the batch that is being written, and leave the group."""
        self._stopping = True
        await self._let_go()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, *self._keeping, return_exceptions=True)

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
        """Forget what was read and not written, and wait for what is being written."""
        self._forget(list(self._next))
        if self._retrying is not None:
            self._retrying.cancel()
            self._retrying = None
            self._rest()
        try:
            async with asyncio.timeout(self._let_go_seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("batch_outlives_its_partitions")
        self._stored.clear()

    def _forget(self, partitions: Iterable[int]) -> None:
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
                await self._take(await consumer.getmany(timeout_ms=POLL_MS))
                failures = 0
            except (NoOffsetForPartitionError, OffsetOutOfRangeError):
                # Read before it was placed, or Kafka has lost what was next.
                self._forget(list(self._next))
            except StoreUnavailable as error:
                log.warning("partitions_not_placed", error=str(error))
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
            if self._loop.time() - remembered >= REMEMBER_SECONDS:
                remembered = self._loop.time()
                await self._remember(consumer)

    async def _take(self, got: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        for where, records in got.items():
            fetched = [decode(record, self._epoch) for record in self._in_order(where, records)]
            if poison := [it for it in fetched if it.poison is not None]:
                await self._set_aside((it.partition, it.offset, str(it.poison), it.value) for it in poison)
            if foreign := sum(it.foreign for it in fetched):
                log.warning("commands_for_another_database", topic=where.topic, records=foreign)
            if where.partition in self._next:
                self._ready.extend(fetched)
                self._ready_commands += sum(len(it.commands) for it in fetched)
        if self._ready_commands >= AHEAD:
            self._room.clear()
        self._begin()

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

    async def _set_aside(self, records: Iterable[tuple[int, int, str, bytes]]) -> None:
        """Before the offset passes them, so that a crash loses none. Raises StoreUnavailable, and then they come
        again."""
        rows = list(records)
        try:
            self._metrics.poison.inc(await self._places.set_aside(rows))
        except StoreUnavailable:
            self._forget({partition for partition, *_ in rows})
            raise

    async def _remember(self, consumer: AIOKafkaConsumer) -> None:
        offsets = {it: self._stored[it.partition] for it in consumer.assignment() if it.partition in self._stored}
        self._metrics.lag.set(sum(max(0, (consumer.highwater(it) or 0) - offset) for it, offset in offsets.items()))
        if not offsets:
            return
        try:
            await consumer.commit(offsets)
        except (KafkaError, IllegalStateError) as error:
            log.debug("group_not_told", error=repr(error))

    # Writing

    def _begin(self) -> None:
        if self._writing is not None or not self._ready or self._broken:
            return
        batch = gather(self._ready, self._limit, self._topic, self._stored)
        self._ready_commands -= len(batch.appends)
        self._make_room()
        self._writing = batch
        self._idle.clear()
        self._write(batch)

    def _make_room(self) -> None:
        if self._ready_commands < AHEAD:
            self._room.set()

    def _write(self, batch: Batch) -> None:
        self._retrying = None
        begun = self._loop.time()

        def done(result: BatchResult | StoreUnavailable) -> None:
            self._loop.call_soon_threadsafe(self._written, batch, result, begun)

        self._store.submit(batch.appends, (), done, batch.fences)

    def _written(self, batch: Batch, result: BatchResult | StoreUnavailable, begun: float) -> None:
        """On the loop again. As in the direct log, the next batch starts before the sockets are written."""
        if isinstance(result, StoreUnavailable):
            self._not_written(batch, result)
            return
        for fence in batch.fences:
            if self._stored.get(fence.partition) == fence.first:
                self._stored[fence.partition] = fence.after
        self._attempts = 0
        self._limit = BATCH
        self._rest()
        self._begin()
        if self._batch_metrics is not None:
            self._batch_metrics.batch_size.observe(len(batch.appends))
            self._batch_metrics.batch_seconds.observe(self._loop.time() - begun)
        self._answer(batch, result)

    def _rest(self) -> None:
        self._writing = None
        self._idle.set()

    def _not_written(self, batch: Batch, error: StoreUnavailable) -> None:
        partitions = [fence.partition for fence in batch.fences]
        if isinstance(error, Fenced):
            log.warning("batch_abandoned", topic=self._topic, error=str(error), commands=len(batch.appends))
            self._attempts = 0
            self._forget(partitions)
            self._rest()
            self._begin()
        elif isinstance(error, StoreBroken):
            self._broken = True
            self._rest()
            tell(self._on_broken, error)
        elif not self._next.keys() >= set(partitions):
            # They are not ours any more; whoever has them writes it.
            self._forget(partitions)
            self._rest()
            self._begin()
        else:
            self._again(batch, error)

    def _again(self, batch: Batch, error: StoreUnavailable) -> None:
        delay = RETRY_SECONDS[min(self._attempts, len(RETRY_SECONDS) - 1)]
        self._attempts += 1
        log.warning("batch_waits", error=str(error), commands=len(batch.appends), attempts=self._attempts)
        if self._attempts >= SPLIT_AFTER and len(batch.fetched) > 1:
            self._limit = max(1, len(batch.appends) // 2)
            self._ready.extendleft(reversed(batch.fetched))
            self._ready_commands += len(batch.appends)
            batch = gather(self._ready, self._limit, self._topic, self._stored)
            self._ready_commands -= len(batch.appends)
            self._writing = batch
        self._retrying = self._loop.call_later(delay, self._write, batch)

    def _answer(self, batch: Batch, result: BatchResult) -> None:
        entries: list[Entry] = []
        for outcome in result.outcomes:
            if type(outcome) is Appended:
                entries += outcome.entries
        if entries:
            tell(self._publish, entries)
        for origin, answers in batch.answers(result.outcomes):
            tell(self._answers.tell, origin, answers)
        if any(type(outcome) is Refused and outcome.spec is Code.INTERNAL for outcome in result.outcomes):
            self._spawn_poison(batch, result)
        tell(self._turn_done)

    def _spawn_poison(self, batch: Batch, result: BatchResult) -> None:
        """The store could not take them, and their senders were told. The offset has passed them already; should the
        process end within this moment, the log line of the store is what is left."""
        rows = [(it.partition, it.offset, INTERNAL_REASON, it.value) for it in batch.refused_as(Code.INTERNAL, result)]
        task = self._loop.create_task(self._keep_poison(rows))
        self._keeping.add(task)
        task.add_done_callback(self._kept_poison)

    def _kept_poison(self, task: "asyncio.Task[None]") -> None:
        self._keeping.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("poison_not_set_aside", error=repr(error))

    async def _keep_poison(self, rows: list[tuple[int, int, str, bytes]]) -> None:
        for delay in (*RETRY_SECONDS, None):
            try:
                self._metrics.poison.inc(await self._places.set_aside(rows))
                return
            except StoreUnavailable:
                if delay is None:
                    raise
                await asyncio.sleep(delay)
