"""Several nodes in one process over one store, and between them a network that a test has in its hand: nothing gets
from one node to another unless the test carries it there, and then when and as often as it likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection as Sql
from sqlalchemy import create_engine, delete, insert, update
from sqlalchemy.pool import StaticPool
from tests.gateway.resume_lab import RecordingWire, seqs

from parley.dialects.base import Codec
from parley.dialects.native import NativeCodec
from parley.gateway import heads
from parley.gateway.catchup import CatchUp
from parley.gateway.connection import Connection, Outbound
from parley.gateway.hub import Hub
from parley.protocol.commands import Actor, Resume
from parley.protocol.errors import ChatError, Code
from parley.protocol.events import Entry, Signal
from parley.protocol.types import ConversationId, EntryKind, SessionId, UserId
from parley.store.interface import StoreUnavailable
from parley.store.sql.now import now_ms
from parley.store.tables import conversations, members, metadata

TALK = ConversationId(7)
EPOCH = "now"
T = TypeVar("T")


class SharedStore:
    """One conversation: its entries in a list, its head and members also in SQL, where heads are compared."""

    def __init__(self) -> None:
        engine = create_engine("sqlite://", poolclass=StaticPool)
        metadata.create_all(engine, [conversations, members])
        self._sql = engine.connect()
        self._sql.execute(insert(conversations).values(id=TALK, kind="group", join_policy="invite", created_at=0))
        self.entries: list[Entry] = []
        self.members: set[UserId] = set()
        self.away = False
        self.reads = 0

    def commit(self, kind: EntryKind = EntryKind.MESSAGE_CREATED, user: UserId | None = None) -> Entry:
        seq = len(self.entries) + 1
        entry = Entry(TALK, seq, kind, UserId(1), f"c{seq}", 0, seq, b'{"n":1}', user_id=user)
        self.entries.append(entry)
        self._sql.execute(update(conversations).values(last_seq=seq, changed_at=now_ms()))
        if kind is EntryKind.MEMBER_JOINED:
            assert user is not None
            self.members.add(user)
            row = {"conversation_id": TALK, "user_id": user, "role": "member", "joined_seq": seq}
            self._sql.execute(insert(members).values(**row, joined_at=now_ms()))
        elif kind is EntryKind.MEMBER_LEFT:
            assert user is not None
            self.members.discard(user)
            self._sql.execute(delete(members).where(members.c.user_id == user))
        return entry

    def close(self) -> None:
        self._sql.close()
        self._sql.engine.dispose()

    # `Database`

    async def read(self, question: Callable[[Sql], T]) -> T:
        self._ask()
        await asyncio.sleep(0)
        return question(self._sql)

    async def write(self, change: Callable[[Sql], T]) -> T:
        return await self.read(change)

    def _ask(self) -> None:
        self.reads += 1
        if self.away:
            raise StoreUnavailable("gone")

    # `catchup.Source`

    async def heads(self, user: UserId, wanted: Sequence[ConversationId]) -> Mapping[ConversationId, int]:
        await asyncio.sleep(0)
        return {TALK: len(self.entries)} if TALK in wanted and user in self.members else {}

    async def entries_after(
        self, conversation: ConversationId, after: int, limit: int, max_bytes: int, reader: UserId | None
    ) -> tuple[list[Entry], int] | None:
        self._ask()
        await asyncio.sleep(0)
        found = self.entries[after : after + limit], len(self.entries)
        await asyncio.sleep(0)
        return found if reader is None or reader in self.members else None

    async def named_entries_after(
        self, conversation: ConversationId, after: int, reader: UserId | None
    ) -> tuple[list[Entry], int] | None:
        page = await self.entries_after(conversation, after, 200, 0, reader)
        return page and ([msgspec.structs.replace(entry, by_name=f"name of {entry.by}") for entry in page[0]], page[1])

    async def describe(self, actor: Actor, conversation: ConversationId) -> dict[str, Any]:
        await asyncio.sleep(0)
        if actor.user_id not in self.members:
            raise ChatError(Code.UNKNOWN_CONVERSATION)
        return {"id": str(TALK), "read_seq": 0, "delivered_seq": 0, "last_message": None, "unread": 0}


class Network:
    """What is on its way, as (to whom, what). Values are copied on the way, as between processes."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.waiting: list[tuple[Node, Callable[[], None]]] = []
        self.instant = False
        """Deliver at once, in order, losing nothing."""

    def send(self, sender: Node, carry: Callable[[Node], None]) -> None:
        for node in self.nodes:
            if node is not sender:
                self.waiting.append((node, lambda node=node: carry(node)))  # type: ignore[misc]  # the default binds it
        if self.instant:
            self.deliver_all()

    def deliver(self, index: int) -> None:
        self.waiting.pop(index)[1]()

    def deliver_all(self) -> None:
        while self.waiting:
            self.deliver(0)


class Node:
    """A hub with its resume and its comparing, and a `FanOut` into the test's network."""

    reaches_others = True

    def __init__(self, store: SharedStore, network: Network) -> None:
        self.network = network
        self.outbound = Outbound(4096, 1 << 22)
        self.hub = Hub(self.outbound)
        self.catch_up = CatchUp(self.hub, store, EPOCH)
        self.hub.attacher = self.catch_up
        self.healed = 0
        self.catch_up.on_healed = self._count
        self.heads = heads.Heads(self.hub, store)
        network.nodes.append(self)
        self.connections: list[Connection] = []

    def _count(self, entries: int) -> None:
        self.healed += entries

    # Sockets

    def connect(self, user: int, codec: Codec | None = None) -> Connection:
        number = f"{len(self.network.nodes)}-{self.network.nodes.index(self)}-{len(self.connections)}"
        actor = Actor(UserId(user), f"u{user}", 1)
        connection = Connection(number, actor, 1, codec or NativeCodec(), RecordingWire(), self.outbound)
        connection.early = None
        self.connections.append(connection)
        self.hub.enter(connection)
        return connection

    async def live(self, user: int, cursor: int = 0) -> Connection:
        """Connected, and live from after `cursor` if a member."""
        connection = self.connect(user)
        self.catch_up.begin(connection, Resume(EPOCH, {TALK: cursor}), lambda _: None)
        await self.settle()
        return connection

    async def settle(self) -> None:
        """Until nothing is under way here any more but what the network holds."""
        for _ in range(2000):
            await asyncio.sleep(0)
            held = any(feed.behind_hole for feed in self.hub.feeds.values())
            if not held and not self.catch_up.tasks:
                return
        raise AssertionError("it never ends")

    # `FanOut`

    def publish(self, entries: Sequence[Entry]) -> None:
        self.hub.publish(entries)
        self.network.send(self, lambda node: node.hub.publish(list(entries)))

    def tell_conversation(self, conversation_id: ConversationId, signal: Signal, without: UserId | None = None) -> None:
        self.hub.tell_conversation(conversation_id, signal, without)
        sent = msgspec.json.encode(signal)
        self.network.send(
            self,
            lambda node: node.hub.tell_conversation(conversation_id, msgspec.json.decode(sent, type=Signal), without),
        )

    def tell_user(self, user: UserId, signal: Signal) -> None:
        self.hub.tell_user(user, signal)
        self.network.send(self, lambda node: node.hub.tell_user(user, signal))

    def invite(self, conversation_id: ConversationId, users: Sequence[UserId], cursor: int) -> None:
        self.hub.invite(conversation_id, users, cursor)
        self.network.send(self, lambda node: node.hub.invite(conversation_id, users, cursor))

    def session_ended(self, session_id: SessionId | None, user: UserId) -> None: ...
    def seat_taken(self, user: UserId, dialect: str, connection_id: str) -> None:
        self.network.send(self, lambda node: node.hub.seat_taken(user, dialect, connection_id))

    def hear(self, conversation_id: ConversationId) -> None: ...
    def unhear(self, conversation_id: ConversationId) -> None: ...
    def hear_user(self, user: UserId) -> None: ...
    def unhear_user(self, user: UserId) -> None: ...
    async def close(self) -> None: ...


def heard(connection: Connection) -> list[int]:
    """The seqs that were written to a socket, in order."""
    connection.outbound.flush()
    wire = connection.wire
    assert isinstance(wire, RecordingWire)
    return seqs(wire.frames())


def told(connection: Connection, kinds: Collection[str]) -> list[str]:
    connection.outbound.flush()
    wire = connection.wire
    assert isinstance(wire, RecordingWire)
    return [frame["type"] for frame in wire.frames() if frame["type"] in kinds]
