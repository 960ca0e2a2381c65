"""Being away: what a direct or kama client surely got, and what it is served when it comes back.

A mark per (user, dialect, conversation). It moves to the last entry that was written before a ping whose pong came,
because frames keep their order: a pong proves that everything before its ping has arrived. So each entry is served at
least once, and after a cut at most one ping's worth again.
"""

import asyncio

import structlog

from parley.gateway.connection import Connection
from parley.protocol.types import ConversationId, UserId
from parley.services.legacy import MISSED, Legacy
from parley.store.interface import StoreUnavailable

log = structlog.get_logger()

PINGS_UNDER_WAY = 8


class AwayMarks:
    """One connection's."""

    __slots__ = ("_dialect", "_legacy", "_number", "_tasks", "_user", "_waiting", "confirmed")

    def __init__(self, legacy: Legacy, user: UserId, dialect: str) -> None:
        self.confirmed: dict[ConversationId, int] = {}
        self._legacy = legacy
        self._user = user
        self._dialect = dialect
        self._number = 0
        self._waiting: dict[bytes, dict[ConversationId, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, heads: dict[ConversationId, int], lobby: ConversationId) -> dict[ConversationId, int]:
        """From where each conversation is to be served."""
        known = await self._legacy.marks(self._user, self._dialect)
        first_ever = not known
        starts: dict[ConversationId, int] = {}
        fresh: dict[ConversationId, int] = {}
        new = [] if first_ever else [conversation for conversation in heads if conversation not in known]
        joined = await self._legacy.joined(self._user, new) if new else {}
        for conversation, head in heads.items():
            mark = known.get(conversation)
            if mark is None:
                # At the first connect ever it begins at the head; a conversation that is new since then, where the
                # user came to it: its beginning, if they were in it from the first.
                mark = head if first_ever else max(joined.get(conversation, 0) - 1, 0)
                fresh[conversation] = mark
            starts[conversation] = max(min(mark, head), head - MISSED)
        if first_ever:
            # Also of somebody who is in no conversation yet, it stays known that they were here.
            fresh.setdefault(lobby, 0)
        if fresh:
            await self._legacy.move_marks(self._user, self._dialect, fresh)
        self.confirmed = {**known, **fresh}
        return starts

    def ping(self, connection: Connection) -> bytes:
        """The payload of a ping that asks: has everything up to here arrived?"""
        written = {
            feed.conversation_id: feed.head
            for feed in connection.feeds
            if feed.head is not None and feed.head > self.confirmed.get(feed.conversation_id, -1)
        }
        self._number += 1
        payload = self._number.to_bytes(4, "big")
        if len(self._waiting) >= PINGS_UNDER_WAY:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[payload] = written
        return payload

    def ponged(self, payload: bytes) -> dict[ConversationId, int] | None:
        """What is known now to have arrived, and was not before."""
        written = self._waiting.pop(payload, None)
        if written:
            self.confirmed.update(written)
            task = asyncio.get_running_loop().create_task(self._store(written))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return written

    async def _store(self, written: dict[ConversationId, int]) -> None:
        try:
            await self._legacy.move_marks(self._user, self._dialect, written)
        except StoreUnavailable as error:
            # They are served again next time: at least once is what is promised.
            log.warning("away_marks_not_stored", error=str(error))
