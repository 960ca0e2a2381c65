"""Answers on their way back to the process that asked, by the results topic.

An answer may be lost: the one that asked looks in the store after two seconds. So nothing here is retried for long, and
nothing waits for it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from parley.kafka_producer import abandon
from parley.log.envelope import Answer, Origin, Undecodable, decode_answers, encode_answers
from parley.log.figures import Count

log = structlog.get_logger()

Settle = Callable[[Iterable[Answer]], None]
WAITING = 200
"""Records of answers that wait for Kafka; at the bound the next one is dropped, and counted."""
ANSWERS = 2_000
"""In one record: about half of what a topic takes."""
AGAIN_SECONDS = 1.0
POLL_MS = 1_000
FLUSH_SECONDS = 1.0


class Answers:
    """Tells origins: one in this process at once, others through Kafka."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, lost: Count) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._partitions = partitions
        self._lost = lost
        self._here: dict[str, Settle] = {}
        self._queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(WAITING)
        self._sending: asyncio.Task[None] | None = None

    def here(self, boot: str, settle: Settle) -> None:
        """A gateway in this very process."""
        self._here[boot] = settle

    def tell(self, origin: Origin, answers: Sequence[Answer]) -> None:
        settle = self._here.get(origin.boot)
        if settle is not None:
            settle(answers)
            return
        partition = origin.partition % self._partitions
        for start in range(0, len(answers), ANSWERS):
            part = answers[start : start + ANSWERS]
            try:
                self._queue.put_nowait((partition, encode_answers(origin.boot, part)))
            except asyncio.QueueFull:
                self._lost.inc(len(part))

    async def start(self) -> None:
        self._sending = asyncio.get_running_loop().create_task(self._send_on())

    async def _send_on(self) -> None:
        while True:
            try:
                await self._send_while_it_works()
            except (KafkaError, OSError) as error:
                log.warning("answers_not_sent", error=repr(error))
            await asyncio.sleep(AGAIN_SECONDS)

    async def _send_while_it_works(self) -> None:
        # acks=1: an answer that a broker takes to its grave is looked up.
        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks=1, request_timeout_ms=5_000)
        try:
            await producer.start()
            while True:
                partition, value = await self._queue.get()
                confirmation = await producer.send(self._topic, value, partition=partition)
                confirmation.add_done_callback(self._confirmed)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await producer.flush()
            raise
        finally:
            await abandon(producer)

    def _confirmed(self, confirmation: "asyncio.Future[Any]") -> None:
        if not confirmation.cancelled() and (error := confirmation.exception()) is not None:
            self._lost.inc()
            log.warning("answers_not_confirmed", error=repr(error))

    async def stop(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)


class Hearing:
    """Reads the answers to one process."""

    def __init__(self, bootstrap: str, topic: str, origin: Origin, settle: Settle) -> None:
        """`settle` is called with the answers of each record, on the event loop."""
        self._bootstrap = bootstrap
        self._partition = TopicPartition(topic, origin.partition)
        self._boot = origin.boot
        self._settle = settle
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when no answer to a later command can be missed. Raises KafkaError."""
        consumer = await self._open()
        self._reading = asyncio.get_running_loop().create_task(self._read_on(consumer))

    async def _open(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, auto_offset_reset="latest", request_timeout_ms=10_000,
            fetch_max_wait_ms=1_000,
        )  # fmt: skip
        try:
            await consumer.start()
            consumer.assign([self._partition])
            await consumer.seek_to_end(self._partition)
            await consumer.position(self._partition)
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    async def _read_on(self, consumer: AIOKafkaConsumer | None) -> None:
        while True:
            try:
                consumer = consumer or await self._open()
                await self._read(consumer)
            except (KafkaError, OSError) as error:
                log.warning("answers_not_heard", error=repr(error))
            finally:
                if consumer is not None:
                    await consumer.stop()
            consumer = None
            await asyncio.sleep(AGAIN_SECONDS)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    self._hear(record.value)

    def _hear(self, value: bytes | None) -> None:
        try:
            boot, answers = decode_answers(value)
        except Undecodable as error:
            log.error("answers_undecodable", topic=self._partition.topic, error=str(error))
            return
        if boot == self._boot:
            self._settle(answers)

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
