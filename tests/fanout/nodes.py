"""Nodes of a test: fan-outs whose subscribers write down what they are told, and wait for it without guessing when."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from parley.fanout.redis import RedisFanOut
from parley.protocol.events import Entry, Signal
from parley.protocol.types import ConversationId, EntryKind, MessageId, SessionId, UserId
from parley.redis.metrics import RedisMetrics
from parley.redis.node import RedisNode

PATIENCE_S = 20.0
"""Until a test gives up on what never comes."""


class Waiting:
    """`changed` after every change; `until` waits for a condition to become true."""

    def __init__(self) -> None:
        self._changes = asyncio.Event()

    def changed(self, *_: object) -> None:
        self._changes.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changes.clear()
                await self._changes.wait()


class Hearing(Waiting):
    """A `Subscriber` that notes everything."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[Any, ...]] = []
        self.listens: list[set[ConversationId] | None] = []

    def _note(self, *what: Any) -> None:
        self.heard.append(what)
        self.changed()

    def publish(self, entries: Sequence[Entry]) -> None:
        self._note("entries", *entries)

    def tell_conversation(self, conversation_id: ConversationId, signal: Signal, without: UserId | None = None) -> None:
        self._note("conversation", conversation_id, signal, without)

    def tell_user(self, user: UserId, signal: Signal) -> None:
        self._note("user", user, signal)

    def invite(self, conversation_id: ConversationId, users: Sequence[UserId], cursor: int) -> None:
        for user in users:
            self._note("invite", conversation_id, user, cursor)

    def session_ended(self, session_id: SessionId | None, user: UserId) -> None:
        self._note("ended", session_id, user)

    def seat_taken(self, user: UserId, dialect: str, connection_id: str) -> None:
        self._note("seat", user, dialect, connection_id)

    def listening(self, conversations: Collection[ConversationId] | None) -> None:
        self.listens.append(None if conversations is None else set(conversations))
        self.changed()

    def entries(self) -> list[Entry]:
        return [entry for what, *rest in self.heard if what == "entries" for entry in rest]

    async def hears(self, *what: Any) -> None:
        await self.until(lambda: what in self.heard)

    async def listens_to(self, conversation_id: int) -> None:
        await self.until(lambda: any(it and conversation_id in it for it in self.listens))


class TestNode(Waiting):
    """One node over Redis: `fanout` to say, `hearing` for what it is told."""

    __test__ = False

    def __init__(self, url: str, prefix: str) -> None:
        super().__init__()
        self.registry = CollectorRegistry()
        self.redis = RedisNode(url, prefix, RedisMetrics(self.registry))
        self.hearing = Hearing()
        self.fanout = RedisFanOut(self.hearing, self.redis)
        for line in (self.redis.talker, self.redis.listener):
            line.on_up.append(self.changed)
            line.on_down.append(self.changed)

    async def stands(self) -> None:
        await self.until(lambda: self.redis.up)

    async def lost_touch(self) -> None:
        """Has noticed that Redis is away, on both lines."""
        await self.until(lambda: not self.redis.talker.up and not self.redis.listener.up)

    def figure(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def node(url: str, prefix: str, *, wait: bool = True) -> AsyncIterator[TestNode]:
    one = TestNode(url, prefix)
    one.redis.start()
    try:
        if wait:
            await one.stands()
        yield one
    finally:
        await one.fanout.close()
        await one.redis.close()


def entry(seq: int, conversation: int = 7, **fields: Any) -> Entry:
    """A message of user 1, with everything an entry can have."""
    facts: dict[str, Any] = {
        "conversation_id": ConversationId(conversation), "seq": seq, "kind": EntryKind.MESSAGE_CREATED,
        "by": UserId(1), "client_id": f"client-{seq}", "at": 1_800_000_000_000, "ordinal": seq,
        "body": b'{"message":{"text":"\\u4f60\\u597d"}}', "message_id": MessageId(2**62 + seq), "by_name": "Ann 安",
    }  # fmt: skip
    return Entry(**{**facts, **fields})
