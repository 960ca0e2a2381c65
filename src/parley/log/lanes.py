"""Ways to the commands topic, one per partition: one batch of each is on its way at a time, and the next one forms
meanwhile.

A batch that left is never taken back and nothing overtakes it: until Kafka has confirmed it, or said for good that it
will not, nothing else of its partition leaves. So commands of one conversation keep their order through every retry.
What has not left can be refused with certainty; what has, cannot.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from functools import lru_cache, partial
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from parley.kafka_producer import abandon, open_producer
from parley.log.envelope import Envelope, encode_command
from parley.log.unanswered import Pending
from parley.protocol.errors import Code, ErrorSpec

log = structlog.get_logger()

COMMANDS = 1_000
"""In one batch of a partition."""
RECORD_COMMANDS = 200
RECORD_BYTES = 65_536
"""A record, of one conversation, ends at these; a longer command is a record by itself."""
BATCH_BYTES = 393_216
COMMAND_BYTES = 327_680
"""A longer one is refused: with the rest of its record it would pass what a topic takes (1 MiB) or nearly."""
RENEW_SECONDS = 1.0

Refuse = Callable[[Iterable[Pending], ErrorSpec, str | None], None]
Record = tuple[bytes, list[bytes], list[Pending]]
"""Key, its commands as JSON, and the same as they were submitted."""


@lru_cache(maxsize=65_536)
def partition_of(key: int, partitions: int) -> int:
    """Where Kafka's own clients would put this key."""
    return int(murmur2(b"%d" % key) & 0x7FFFFFFF) % partitions


class Lane:
    __slots__ = ("on_way", "partition", "refusing", "since", "waiting")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.waiting: deque[Pending] = deque()
        self.on_way = False
        self.since = 0.0
        self.refusing = False
        """Its batch has been on its way for too long."""


class Lanes:
    """Belongs to one event loop. Order: per conversation, as added."""

    def __init__(
        self, bootstrap: str, topic: str, partitions: int, envelope: Envelope, refuse: Refuse, *, stall: float
    ) -> None:
        """`refuse` gets what surely did not leave."""
        self._bootstrap = bootstrap
        self._topic = topic
        self._lanes = [Lane(number) for number in range(partitions)]
        self._envelope = envelope
        self._refuse = refuse
        self._stall = stall
        self._loop = asyncio.get_running_loop()
        self._producer: AIOKafkaProducer | None = None
        self._on_way = 0
        self._none_on_way = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._closing = False
        self._confirmed = self._loop.time()
        """When Kafka last confirmed anything."""
        self.away = False
        """It has confirmed nothing for `stall` seconds, with something on its way."""

    async def start(self) -> None:
        """Raises KafkaError."""
        self._producer = await open_producer(self._bootstrap, 2 * BATCH_BYTES)

    def takes(self, conversation: int) -> bool:
        """Whether a command of it would leave soon."""
        return not (self.away or self._lane(conversation).refusing)

    def _lane(self, conversation: int) -> Lane:
        return self._lanes[partition_of(conversation, len(self._lanes))]

    def add(self, pending: Pending) -> None:
        self._lane(pending.append.command.conversation_id).waiting.append(pending)
        self._schedule()

    def _schedule(self) -> None:
        """Go once the frames that this turn of the loop has read are all in."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._go)

    def _go(self) -> None:
        self._scheduled = False
        producer = self._producer
        if producer is None:
            return
        parts = [
            (lane, records)
            for lane in self._lanes
            if lane.waiting and not lane.on_way and (records := self._records(lane))
        ]
        now = self._loop.time()
        for lane, _ in parts:
            lane.on_way = True
            lane.since = now
        self._on_way += len(parts)
        if parts:
            self._none_on_way.clear()
            self._spawn(self._send(producer, parts))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _records(self, lane: Lane) -> list[Record]:
        """What of the waiting makes the next batch, grouped by conversation, each in its order."""
        open_records: dict[int, Record] = {}
        sizes: dict[int, int] = {}
        records: list[Record] = []
        total = count = 0
        while lane.waiting and count < COMMANDS and total < BATCH_BYTES:
            pending = lane.waiting.popleft()
            encoded = encode_command(pending.number, pending.append)
            size = len(encoded)
            if size > COMMAND_BYTES:
                self._refuse((pending,), Code.TOO_LONG, "The command is too long for this server's log.")
                continue
            key = pending.append.command.conversation_id
            record = open_records.get(key)
            if record is None or len(record[1]) >= RECORD_COMMANDS or sizes[key] + size > RECORD_BYTES:
                record = open_records[key] = (b"%d" % key, [], [])
                sizes[key] = 0
                records.append(record)
            record[1].append(encoded)
            record[2].append(pending)
            sizes[key] += size
            total += size
            count += 1
        return records

    async def _send(self, producer: AIOKafkaProducer, parts: list[tuple[Lane, list[Record]]]) -> None:
        for lane, records in parts:
            builder: BatchBuilder = producer.create_batch()
            for key, commands, _ in records:
                builder.append(timestamp=None, key=key, value=self._envelope.of(commands))
            builder.close()
            commands_in_it = [pending for record in records for pending in record[2]]
            try:
                sent = await producer.send_batch(builder, self._topic, partition=lane.partition)
            except Exception as error:
                log.warning("commands_not_sent", error=repr(error), commands=len(commands_in_it))
                self._refuse(commands_in_it, Code.STORAGE_UNAVAILABLE, None)
                self._arrived(lane)
                self._renew(producer)
            else:
                sent.add_done_callback(partial(self._sent, producer, lane, len(commands_in_it)))

    def _sent(self, producer: AIOKafkaProducer, lane: Lane, commands: int, confirmation: "asyncio.Future[Any]") -> None:
        """Confirmed, or failed for good. What failed may yet be in the topic, from an attempt whose answer was lost:
        it stays unanswered, to be looked up."""
        error = None if confirmation.cancelled() else confirmation.exception()
        if error is not None or confirmation.cancelled():
            log.error("commands_not_confirmed", error=repr(error), commands=commands, partition=lane.partition)
            self._renew(producer)
        else:
            self._confirmed = self._loop.time()
            if self.away:
                log.info("kafka_back", topic=self._topic)
            self.away = False
        self._arrived(lane)

    def _arrived(self, lane: Lane) -> None:
        lane.on_way = lane.refusing = False
        self._on_way -= 1
        if self._on_way == 0:
            self._none_on_way.set()
        if lane.waiting:
            self._schedule()

    def _renew(self, producer: AIOKafkaProducer) -> None:
        """After a failure the sequence numbers of an idempotent producer have a hole, and Kafka would refuse all that
        follows. The next producer begins when nothing of this one is on its way."""
        if self._producer is producer and not self._closing:
            self._producer = None
            self._spawn(self._replace(producer))

    async def _replace(self, old: AIOKafkaProducer) -> None:
        await self._none_on_way.wait()
        await abandon(old)
        while self._producer is None and not self._closing:
            try:
                self._producer = await open_producer(self._bootstrap, 2 * BATCH_BYTES)
            except (KafkaError, OSError) as error:
                self.away = True
                log.warning("kafka_not_reached", error=repr(error))
                await asyncio.sleep(RENEW_SECONDS)
        self.away = False
        self._schedule()

    def sweep(self, now: float) -> bool:
        """Refuse what would have to wait for a batch that does not arrive. True: answers were given."""
        refused = False
        for lane in self._lanes:
            late = lane.on_way and now - lane.since >= self._stall
            if late and not lane.refusing:
                lane.refusing = True
                log.warning("kafka_stalled", topic=self._topic, partition=lane.partition)
            if late and now - self._confirmed >= self._stall:
                self.away = True
            if lane.waiting and (late or now - lane.waiting[0].at >= self._stall):
                self._refuse_waiting(lane)
                refused = True
        return refused

    def _refuse_waiting(self, lane: Lane) -> None:
        waiting = list(lane.waiting)
        lane.waiting.clear()
        self._refuse(waiting, Code.STORAGE_UNAVAILABLE, None)

    async def close(self) -> None:
        """Refuse what has not left, and let go of what has."""
        self._closing = True
        for lane in self._lanes:
            self._refuse_waiting(lane)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._producer is not None:
            await abandon(self._producer)
