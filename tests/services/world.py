"""A real store in a folder with the services over it, for the tests of conversations and history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert
from tests.store.stores import KITS, Kit

from parley.dispatch import Dispatch
from parley.ids import Snowflakes
from parley.log.direct import DirectLog
from parley.protocol.commands import Actor, MarkRead, SendMessage
from parley.protocol.events import Ack, Entry
from parley.protocol.types import ConversationId, ConversationKind, UserId
from parley.services.conversations import Conversations
from parley.services.history import History
from parley.store.batches import SqlBatches
from parley.store.tables import conversations, meta, metadata, users
from parley.store.threads import SqlDatabase
from parley.testing.clock import FakeClock

EPOCH = "first"


@dataclass
class Limits:
    """`looked` is called, on the writer's thread, when a limit is asked for."""

    most: int = 10_000
    looked: Callable[[], object] = int

    @property
    def rooms(self) -> int:
        self.looked()
        return self.most


@dataclass
class World:
    """What the composition root builds, as far as conversations and their history go."""

    database: SqlDatabase
    conversations: Conversations
    history: History
    dispatch: Dispatch
    clock: FakeClock
    limits: Limits
    lobby: ConversationId
    announced: list[tuple[ConversationId, list[Entry], list[UserId]]]
    published: list[Entry]
    _log: DirectLog
    _opened: tuple[Kit, Path, Engine]
    _numbers: count[int] = field(default_factory=lambda: count(1))

    @classmethod
    async def open(cls, folder: Path, kit: Kit = KITS["sqlite"]) -> World:
        writer = kit.writer(folder)
        if kit.server is None:
            metadata.create_all(writer)
        else:
            kit.server.opened(folder)
        database = SqlDatabase(writer, kit.readers(folder))
        database.start()
        clock, limits = FakeClock(), Limits()
        ids = Snowflakes(clock)
        announced: list[tuple[ConversationId, list[Entry], list[UserId]]] = []
        published: list[Entry] = []
        service = Conversations(database, clock, ids, lambda *made: announced.append(made), limits)
        log = DirectLog(
            SqlBatches(database.writer, kit.hot(), ids, clock),
            published.extend,
            turn_done=lambda: None,
            on_broken=lambda error: None,
        )

        def furnish(connection: Any) -> ConversationId:
            connection.execute(insert(meta).values(key="epoch", value=EPOCH))
            made = connection.execute(
                insert(conversations).values(
                    kind="room", name="lobby", join_policy="open", lobby=True, created_at=clock.now_ms()
                )
            )
            return ConversationId(made.inserted_primary_key[0])

        lobby = await database.write(furnish)
        dispatch = Dispatch(log, service, text_chars=8000)
        history, opened = History(database), (kit, folder, writer)
        return cls(
            database, service, history, dispatch, clock, limits, lobby, announced, published, log, opened
        )  # fmt: skip

    async def close(self) -> None:
        await self._log.drain()
        await asyncio.to_thread(self.database.stop)
        kit, folder, writer = self._opened
        writer.dispose()
        if kit.server is not None:
            kit.server.closed(folder)

    async def account(self, name: str, *, guest: bool = False, admin: bool = False, gone: bool = False) -> Actor:
        row = {
            "username": name, "username_key": name, "display_name": name.title(),
            "role": "admin" if admin else "member", "guest": guest, "created_at": self.clock.now_ms(),
            "deactivated_at": self.clock.now_ms() if gone else None,
        }  # fmt: skip
        made = await self.database.write(lambda connection: connection.execute(insert(users).values(row)))
        key = made.inserted_primary_key
        assert key is not None
        return Actor(UserId(key[0]), name.title(), admin=admin, guest=guest)

    def client_id(self) -> str:
        return f"c{next(self._numbers)}"

    async def group(self, owner: Actor, *others: Actor) -> ConversationId:
        view, _ = await self.conversations.create(
            owner, self.client_id(), ConversationKind.GROUP, member_ids=[other.user_id for other in others]
        )
        return view.id

    async def room(self, owner: Actor, name: str, **more: Any) -> ConversationId:
        view, _ = await self.conversations.create(owner, self.client_id(), ConversationKind.ROOM, name=name, **more)
        return view.id

    async def say(self, actor: Actor, conversation: ConversationId, text: str = "hello") -> Ack:
        """Post a message; a millisecond goes by, so that times differ."""
        self.clock.advance(0.001)
        return await self.do(actor, SendMessage(conversation, self.client_id(), text))

    async def do(self, actor: Actor, command: Any) -> Ack:
        return await self.dispatch.run(actor, command)

    async def read(self, actor: Actor, conversation: ConversationId, seq: int) -> None:
        await self.dispatch.mark(actor, MarkRead(conversation, seq))
