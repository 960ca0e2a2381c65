"""A world small enough to be run through every order of events: one conversation, one connection, the real feed, hub
and resume, and a store whose every read can be held while entries are committed and published.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from parley.dialects.native import NativeCodec
from parley.gateway import hold
from parley.gateway.catchup import CatchUp
from parley.gateway.connection import Connection, Outbound
from parley.gateway.feed import Feed
from parley.gateway.framing import frame
from parley.gateway.hub import Hub
from parley.protocol.commands import Actor, Resume
from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, EntryKind, UserId

TALK = ConversationId(7)
BOB = UserId(2)
EPOCH = "now"
PAGE = 2
Action = tuple[int, int]
"""(how many entries are committed, how many of those committed are then published; all: -1)"""
ACTIONS: tuple[Action, ...] = ((0, 0), (1, 0), (1, -1), (2, 1), (0, -1))


class Breach(AssertionError):
    """The connection missed something, or got it twice or out of order."""


class RecordingWire:
    """A socket that remembers what was written, and says to be full when it is told to."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def frames(self) -> list[dict[str, Any]]:
        found, rest = [], bytes(self.written)
        while rest:
            size, start = rest[1], 2
            if size == 126:
                size, start = int.from_bytes(rest[2:4], "big"), 4
            if rest[0] == 0x81:
                found.append(msgspec.json.decode(rest[start : start + size]))
            rest = rest[start + size :]
        return found


class Lab:
    """`script` says what happens at each point where the resume waits; when it is at its end, nothing more happens."""

    def __init__(self, script: Iterable[Action] = (), stored: int = 3, feed: type[Feed] = Feed) -> None:
        self.entries: list[Entry] = []
        self.published = 0
        self.members = {BOB}
        self.points = 0
        self.happens: Callable[[int], None] = lambda _: None
        """Called at every point, for what a script of numbers cannot say."""
        self._script = iter(script)
        self.outbound = Outbound(256, 1 << 20)
        self.hub = Hub(self.outbound)
        self.catch_up = CatchUp(self.hub, self, EPOCH)
        self.hub.attacher = self.catch_up
        self.wire = RecordingWire()
        self.connection = Connection("c", Actor(BOB, "bob"), 1, NativeCodec(), self.wire, self.outbound)
        self.connection.early = None
        self.connection.bases = {TALK: 0}
        self.hub.enter(self.connection)
        self._feed = feed
        self.commit(stored)
        self.publish(-1)

    # What happens

    def commit(self, count: int, kind: EntryKind = EntryKind.MESSAGE_CREATED, user: UserId | None = None) -> None:
        for _ in range(count):
            seq = len(self.entries) + 1
            self.entries.append(Entry(TALK, seq, kind, UserId(1), f"c{seq}", 0, seq, b'{"n":1}', user_id=user))

    def publish(self, count: int) -> None:
        """The log publishes in order, at some time after the commit."""
        upto = len(self.entries) if count < 0 else min(len(self.entries), self.published + count)
        if upto > self.published:
            batch, self.published = self.entries[self.published : upto], upto
            self.hub.publish(batch)

    async def point(self) -> None:
        self.points += 1
        commit, publish = next(self._script, (0, 0))
        self.commit(commit)
        self.publish(publish)
        self.happens(self.points)
        await asyncio.sleep(0)

    # `catchup.Source`, with a point before and after each read

    async def heads(self, user: UserId, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, int]:
        self._sabotage()
        await self.point()
        heads = {TALK: len(self.entries)} if TALK in conversations and user in self.members else {}
        await self.point()
        return heads

    async def entries_after(
        self, conversation: ConversationId, after: int, limit: int, max_bytes: int, reader: UserId | None
    ) -> tuple[list[Entry], int] | None:
        await self.point()
        found = (self.entries[after : after + PAGE], len(self.entries))
        allowed = reader is None or reader in self.members
        await self.point()
        return found if allowed else None

    async def named_entries_after(
        self, conversation: ConversationId, after: int, reader: UserId | None
    ) -> tuple[list[Entry], int] | None:
        return await self.entries_after(conversation, after, PAGE, 0, reader)

    async def describe(self, actor: Actor, conversation: ConversationId) -> dict[str, Any]:
        await self.point()
        return {"id": str(TALK), "read_seq": 0, "delivered_seq": 0, "last_message": None, "unread": 0}

    def _sabotage(self) -> None:
        """Put the variant in place of the feed that the hub has made."""
        if self._feed is not Feed and type(self.hub.feeds[TALK]) is Feed:
            real = self.hub.feeds[TALK]
            changed = self._feed(TALK, self.outbound)
            changed.tracking = real.tracking
            self.hub.feeds[TALK] = changed

    # What the client asks

    def resume(self, cursor: int) -> asyncio.Task[None]:
        """As the session does it: a second waits for the first."""
        return asyncio.ensure_future(self._asked(Resume(EPOCH, {TALK: cursor})))

    def first_command(self) -> asyncio.Task[None]:
        return asyncio.ensure_future(self._asked(None))

    async def _asked(self, asked: Resume | None) -> None:
        before = self.catch_up.begin(self.connection, asked, self._done if asked else lambda _: None)
        if before is not None:
            await before

    def _done(self, payload: dict[str, Any]) -> None:
        self.connection.push(frame(self.connection.codec.done("r", payload) or b""))

    async def settle(self) -> None:
        """Until nothing is under way any more."""
        for _ in range(1000):
            await asyncio.sleep(hold.HOLD_S if self.held else 0)
            if not (self.held or self.connection.resuming or self.connection.catching or self.catch_up.tasks):
                return
        raise Breach("it never ends")

    @property
    def held(self) -> bool:
        return any(feed.behind_hole for feed in self.hub.feeds.values())

    async def end(self) -> list[dict[str, Any]]:
        """Everything is published and two more are said; all that was sent."""
        await self.settle()
        self.publish(-1)
        self.commit(2)
        self.publish(-1)
        await self.settle()
        return self.wire.frames()


def seqs(frames: list[dict[str, Any]]) -> list[int]:
    return [entry["seq"] for one in frames if one["type"] == "log" for entry in one["payload"]["entries"]]


def judge(frames: list[dict[str, Any]], cursor: int, head: int) -> None:
    """(cursor, live] came by pages before the ack, everything after it once and in order."""
    acks = [index for index, one in enumerate(frames) if one["type"] == "ack"]
    live = frames[acks[-1]]["payload"]["live"].get(str(TALK)) if acks else None
    if live is None:
        raise Breach(f"not live: {frames}")
    if seqs(frames) != list(range(cursor + 1, head + 1)):
        raise Breach(f"{seqs(frames)} after {cursor}, where {head} are")
    if seqs(frames[: acks[-1]])[-1:] not in ([], [live]) and seqs(frames[: acks[-1]])[-1] < live:
        raise Breach(f"acknowledged as live from {live} before it was sent")
