"""Where each partition of the commands topic stands in the store: the only truth about what was appended.

What the consumer group remembers is for Kafka's tools. A batch moves these offsets in its own transaction, so a crash
at any moment neither repeats nor skips a record.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial

import structlog
from sqlalchemy.exc import IntegrityError

from parley.clock import Clock
from parley.protocol.events import Ack
from parley.protocol.types import UserId
from parley.store.interface import Database
from parley.store.sql.appending import AT_ONCE, SetAside, begin_partition, first_answers, set_aside, skip_to
from parley.store.sql.offsets import stored_offsets

log = structlog.get_logger()

DOUBTS = 3
DOUBT_SECONDS = 1.0

Keys = Sequence[tuple[UserId, str]]
Answered = dict[tuple[UserId, str], Ack]
Kept = Mapping[int, tuple[int, int]]
"""partition -> (offset of its first record, offset after its last one), as Kafka has them now."""


class Places:
    """All methods raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Clock, topic: str) -> None:
        self._database = database
        self._clock = clock
        self._topic = topic

    async def of(self, partitions: Collection[int], kept: Callable[[], Awaitable[Kept]]) -> dict[int, int]:
        """The offset at which to go on with each of the partitions.

        One that was never read begins with its first record. One that has lost records, or all of them, goes on with
        what it has; nobody was told that what is lost was stored.
        """
        stored = await self._database.read(lambda connection: stored_offsets(connection, self._topic))
        there = await self._surely(kept, stored, partitions)
        places: dict[int, int] = {}
        for partition in partitions:
            first, after = there[partition]
            place = stored.get(partition)
            if place is None:
                place = await self._begin(partition, first)
            elif not first <= place <= after:
                place = await self._skip(partition, place, first if place < first else after)
            places[partition] = place
        return places

    async def _surely(
        self, kept: Callable[[], Awaitable[Kept]], stored: Mapping[int, int], of: Collection[int]
    ) -> Kept:
        """A leader elected a moment ago may not yet know how far the topic goes."""
        there = await kept()
        for _ in range(DOUBTS):
            if all(stored.get(partition, 0) <= there[partition][1] for partition in of):
                break
            await asyncio.sleep(DOUBT_SECONDS)
            there = await kept()
        return there

    async def _begin(self, partition: int, offset: int) -> int:
        try:
            await self._database.write(lambda connection: begin_partition(connection, self._topic, partition, offset))
        except IntegrityError:
            return await self._stored(partition)
        return offset

    async def _skip(self, partition: int, was: int, offset: int) -> int:
        """The commands between are lost, and whoever sent them was told that the outcome is unknown. What the topic has
        from before, if it went back, was appended already."""
        moved = await self._database.write(lambda connection: skip_to(connection, self._topic, partition, was, offset))
        if not moved:
            return await self._stored(partition)
        log.error("commands_lost_by_kafka", topic=self._topic, partition=partition, stored=was, goes_on_at=offset)
        return offset

    async def _stored(self, partition: int) -> int:
        places = await self._database.read(lambda connection: stored_offsets(connection, self._topic))
        return places[partition]

    async def set_aside(self, records: Sequence[tuple[int, int, str, bytes]]) -> int:
        """(partition, offset, reason, value) of records that cannot be taken. Returns how many are new."""
        rows = [
            SetAside(self._topic, partition, offset, reason, base64.b64encode(value).decode())
            for partition, offset, reason, value in records
        ]
        at = self._clock.now_ms()
        fresh = await self._database.write(lambda connection: set_aside(connection, rows, at))
        for row in fresh:
            log.error("poison", topic=row.topic, partition=row.partition, offset=row.offset, reason=row.reason)
        return len(fresh)


def looking_up(database: Database) -> Callable[[Keys], Awaitable[Answered]]:
    """The look-up that a gateway does when an answer does not come."""

    async def look_up(keys: Keys) -> Answered:
        found: Answered = {}
        for start in range(0, len(keys), AT_ONCE):
            found |= await database.read(partial(first_answers, keys=keys[start : start + AT_ONCE]))
        return found

    return look_up
