"""Every entry of the log to a Kafka topic: at least once, in order per conversation, from the tables themselves.

Chat does not know of it: whatever happens to Kafka, the cursors say where to go on. One node at a time streams, by a
lease; should two of them for a moment, entries come twice, and whoever reads drops what is not above the last seq.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from parley.kafka_producer import abandon, open_producer
from parley.protocol.events import Entry
from parley.protocol.types import ConversationId
from parley.protocol.wire import wire_entry
from parley.store.interface import Database, StoreUnavailable
from parley.store.sql.leases import give_back_lease, take_lease
from parley.store.sql.now import read_ms
from parley.store.sql.streaming import Behind, advance, behind, entries_behind

log = structlog.get_logger()

CONVERSATIONS = 200
"""Looked at together."""
ENTRIES = 1_000
BYTES = 4_194_304
"""Held at a time: read, sent, confirmed, and then the next."""
ENTRIES_EACH = 200
"""Of one conversation in a row, so that a long one does not keep the others waiting."""
BATCH_BYTES = 524_288
"""On the way to one partition at a time."""
HEARD = 10_000
"""Conversations of which a change was heard and not looked at yet; beyond it, all are compared."""
OVERLAP_MS = 60_000
"""A change gets its time before its transaction ends, and is seen only then: no transaction lasts so long."""


class Times(msgspec.Struct, frozen=True):
    """Seconds."""

    poll: float = 1.0
    """How often a shared database is asked what other nodes changed."""
    compare: float = 60.0
    """How often all conversations are compared with the topic."""
    lease: float = 15.0
    """Without a sign of life for so long, another node goes on."""
    again: float = 2.0
    """After Kafka or the database failed."""


class Count(Protocol):
    def inc(self, amount: float = 1) -> None: ...


class _LeaseLost(Exception):
    pass


def lease_name(topic: str) -> str:
    """A lease's name has 64 characters, and a topic's 249."""
    name = f"stream:{topic}"
    return name if len(name) <= 64 else f"stream:{hashlib.sha256(topic.encode()).hexdigest()[:56]}"


def record(entry: Entry) -> bytes:
    """The entry in the native shape, with its conversation."""
    return b'{"conversation_id":"%d",%b' % (entry.conversation_id, wire_entry(entry)[1:])


class Stream:
    """Belongs to one event loop. `start` before use, `stop` once; neither waits for Kafka."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        *,
        database: Database,
        owner: str,
        shared: bool,
        confirmed: Count,
        times: Times | None = None,
    ) -> None:
        """`owner` names this process among those that could stream. `shared`: other nodes write to the database too,
        and its `changed_at` tells what."""
        self._bootstrap = bootstrap
        self._topic = topic
        self._database = database
        self._owner = owner
        self._shared = shared
        self._confirmed = confirmed
        self._times = times or Times()
        self._loop = asyncio.get_running_loop()
        self._lease = lease_name(topic)
        self._heard: set[ConversationId] = set()
        self._wake = asyncio.Event()
        self._compare_at = 0.0
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._running = self._loop.create_task(self._run())

    async def stop(self) -> None:
        if self._running is None:
            return
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        try:
            await self._database.write(partial(give_back_lease, name=self._lease, owner=self._owner))
        except StoreUnavailable as error:
            log.info("lease_not_given_back", error=str(error))

    def heard(self, entries: Sequence[Entry]) -> None:
        """These were published on this node. Cheap; whether this node streams does not matter."""
        if len(self._heard) < HEARD:
            self._heard.update([entry.conversation_id for entry in entries])
        else:
            self._compare_at = 0.0
        self._wake.set()

    async def _run(self) -> None:
        while True:
            try:
                if await self._take():
                    await self._stream_while_held()
            except (KafkaError, OSError, StoreUnavailable) as error:
                log.warning("stream_waits", topic=self._topic, error=repr(error))
            except _LeaseLost:
                log.info("stream_goes_on_elsewhere", topic=self._topic)
            except Exception:
                log.exception("stream_failed", topic=self._topic)
            self._heard.clear()
            await asyncio.sleep(self._times.again)

    # The lease

    async def _take(self) -> bool:
        ms = round(self._times.lease * 1000)
        return await self._database.write(partial(take_lease, name=self._lease, owner=self._owner, ms=ms))

    async def _hold(self) -> None:
        """Raises _LeaseLost, when it is somebody else's or may be."""
        held = self._loop.time()
        while True:
            await asyncio.sleep(self._times.lease / 3)
            asked = self._loop.time()
            try:
                if not await self._take():
                    raise _LeaseLost
                held = asked
            except StoreUnavailable as error:
                if self._loop.time() - held >= self._times.lease:
                    raise _LeaseLost from error

    async def _stream_while_held(self) -> None:
        holding = self._loop.create_task(self._hold())
        streaming = self._loop.create_task(self._stream())
        try:
            await asyncio.wait((holding, streaming), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (holding, streaming):
                task.cancel()
            ended = await asyncio.gather(holding, streaming, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    # What is streamed

    async def _stream(self) -> None:
        log.info("streaming", topic=self._topic)
        self._compare_at = 0.0
        since = 0
        kafka = await open_producer(self._bootstrap, BATCH_BYTES)
        try:
            while True:
                since = await self._look(kafka, since)
                await self._rest()
        finally:
            await abandon(kafka)

    async def _look(self, kafka: AIOKafkaProducer, since: int) -> int:
        """Send all that is known to lack; the moment from which to ask the next time."""
        self._wake.clear()
        heard, self._heard = self._heard, set()
        due = self._loop.time() >= self._compare_at
        if due:
            # From here on: what is heard meanwhile may be past the comparison already.
            self._compare_at = self._loop.time() + self._times.compare
        if self._shared or due:
            now = await self._database.read(read_ms)
            await self._catch_up(kafka, None if due else since - OVERLAP_MS)
            return now
        await self._catch_up_with(kafka, heard)
        return since

    async def _rest(self) -> None:
        """Until something is heard, or it is time to look."""
        wait = max(0.0, self._compare_at - self._loop.time())
        try:
            async with asyncio.timeout(min(wait, self._times.poll) if self._shared else wait):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _catch_up(self, kafka: AIOKafkaProducer, since: int | None) -> None:
        """With all conversations, or those changed since."""
        after = 0
        while True:
            question = partial(behind, topic=self._topic, after=after, limit=CONVERSATIONS, changed_since=since)
            found = await self._database.read(question)
            await self._send(kafka, found)
            if len(found) < CONVERSATIONS:
                return
            after = found[-1].conversation_id

    async def _catch_up_with(self, kafka: AIOKafkaProducer, heard: set[ConversationId]) -> None:
        ids = sorted(heard)
        for start in range(0, len(ids), CONVERSATIONS):
            part = ids[start : start + CONVERSATIONS]
            question = partial(behind, topic=self._topic, limit=CONVERSATIONS, among=part)
            await self._send(kafka, await self._database.read(question))

    async def _send(self, kafka: AIOKafkaProducer, lacking: list[Behind]) -> None:
        """All that these lack. The cursor follows what Kafka has confirmed, never the other way round."""
        while lacking:
            read = partial(entries_behind, of=lacking, each=ENTRIES_EACH, limit=ENTRIES, max_bytes=BYTES)
            entries = await self._database.read(read)
            if not entries:
                log.error("log_has_a_hole", conversations=[one.conversation_id for one in lacking])
                return
            await self._send_all(kafka, entries)
            # In log order, so the last of each conversation stays.
            cursors = {entry.conversation_id: entry.seq for entry in entries}
            await self._database.write(partial(advance, topic=self._topic, cursors=cursors))
            lacking = [
                Behind(one.conversation_id, at, one.head)
                for one in lacking
                if (at := cursors.get(one.conversation_id, one.seq)) < one.head
            ]

    async def _send_all(self, kafka: AIOKafkaProducer, entries: list[Entry]) -> None:
        """Return when Kafka has confirmed them all."""
        sent: list[asyncio.Future[object]] = []
        try:
            for entry in entries:
                key = b"%d" % entry.conversation_id
                # Not a comprehension: what was sent before one failed has to be let go of.
                sent.append(await kafka.send(self._topic, record(entry), key=key))
            await asyncio.gather(*sent)
        finally:
            for confirmation in sent:
                confirmation.cancel()
        self._confirmed.inc(len(sent))
