"""Commands from Kafka into the store.

A batch, the offsets it was read from and nothing else are one transaction. Whoever finds that the offsets are not where
the batch begins was taken for dead and has been replaced: the batch is dropped, whole.
"""

import asyncio
from collections.abc import Callable

import structlog

from parley.log.batching import INTERNAL_REASON, Batch
from parley.log.figures import AppenderMetrics, BatchMetrics
from parley.log.intake import Intake
from parley.log.interface import Publish
from parley.log.kafka_results import Answers
from parley.log.places import Places
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
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
SPLIT_AFTER = 3
"""Attempts, after which a batch is made half as large: one command must not keep all others out for ever."""
LET_GO_SECONDS = 5.0
"""How long the group waits, when partitions move, for a batch to finish. Longer: its fence stops it."""


class Appender:
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
        self._store = store
        self._places = places
        self._answers = answers
        self._publish = publish
        self._turn_done = turn_done
        self._on_broken = on_broken
        self._metrics = metrics
        self._batch_metrics = batch_metrics
        self._let_go_seconds = let_go_seconds
        self._intake = Intake(
            bootstrap, topic, places=places, metrics=metrics, epoch=epoch, session_ms=session_ms,
            arrived=self._begin, leaving=self._finish,
        )  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._writing: Batch | None = None
        self._outlived: Batch | None = None
        """One that is being written though its partitions were let go of; should they come back meanwhile, what they
        are read from is not what this batch makes of it."""
        self._retrying: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._broken = False
        self._limit = BATCH
        self._attempts = 0
        self._keeping: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Return when it is a member of the group. Raises KafkaError."""
        await self._intake.start()

    async def stop(self) -> None:
        """Finish the batch that is being written, and leave the group."""
        await self._intake.stop()
        await asyncio.gather(*self._keeping, return_exceptions=True)

    async def _finish(self) -> None:
        """Wait for what is being written; what only waits to be tried again is somebody else's from here on."""
        if self._retrying is not None:
            self._retrying.cancel()
            self._retrying = None
            self._rest()
        try:
            async with asyncio.timeout(self._let_go_seconds):
                await self._idle.wait()
        except TimeoutError:
            self._outlived = self._writing
            log.warning("batch_outlives_its_partitions")

    def _begin(self) -> None:
        if self._writing is not None or self._broken or (batch := self._intake.take(self._limit)) is None:
            return
        self._writing = batch
        self._idle.clear()
        self._write(batch)

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
        if batch is self._outlived:
            self._intake.forget([fence.partition for fence in batch.fences])
        else:
            self._intake.written(batch)
        self._attempts = 0
        self._limit = BATCH
        self._rest()
        self._begin()
        if self._batch_metrics is not None:
            self._batch_metrics.batch_size.observe(len(batch.appends))
            self._batch_metrics.batch_seconds.observe(self._loop.time() - begun)
        self._answer(batch, result)

    def _rest(self) -> None:
        self._writing = self._outlived = None
        self._idle.set()

    # It could not be written

    def _not_written(self, batch: Batch, error: StoreUnavailable) -> None:
        if isinstance(error, StoreBroken):
            self._broken = True
            self._rest()
            tell(self._on_broken, error)
        elif isinstance(error, Fenced):
            log.warning("batch_abandoned", error=str(error), commands=len(batch.appends))
            self._abandon(batch)
        elif batch is self._outlived or not self._intake.holds(batch):
            # Whoever has its partitions now writes it.
            self._abandon(batch)
        else:
            self._again(batch, error)

    def _abandon(self, batch: Batch) -> None:
        self._attempts = 0
        self._intake.forget([fence.partition for fence in batch.fences])
        self._rest()
        self._begin()

    def _again(self, batch: Batch, error: StoreUnavailable) -> None:
        delay = RETRY_SECONDS[min(self._attempts, len(RETRY_SECONDS) - 1)]
        self._attempts += 1
        log.warning("batch_waits", error=str(error), commands=len(batch.appends), attempts=self._attempts)
        if self._attempts >= SPLIT_AFTER and len(batch.fetched) > 1:
            self._limit = max(1, len(batch.appends) // 2)
            self._intake.give_back(batch)
            batch = self._writing = self._intake.take(self._limit) or batch
        self._retrying = self._loop.call_later(delay, self._write, batch)

    # It was

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
            self._set_aside(batch, result)
        tell(self._turn_done)

    def _set_aside(self, batch: Batch, result: BatchResult) -> None:
        """The store could not take them, and their senders were told. The offset has passed them already; should the
        process end within this moment, the log line of the store is what is left."""
        rows = [(it.partition, it.offset, INTERNAL_REASON, it.value) for it in batch.refused_as(Code.INTERNAL, result)]
        task = self._loop.create_task(self._keep(rows))
        self._keeping.add(task)
        task.add_done_callback(self._kept)

    async def _keep(self, rows: list[tuple[int, int, str, bytes]]) -> None:
        for delay in (*RETRY_SECONDS, None):
            try:
                self._metrics.poison.inc(await self._places.set_aside(rows))
                return
            except StoreUnavailable:
                if delay is None:
                    raise
                await asyncio.sleep(delay)

    def _kept(self, task: "asyncio.Task[None]") -> None:
        self._keeping.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("poison_not_set_aside", error=repr(error))
