"""The log over the real store: what is published, what is acknowledged and what is stored are one and the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.store.stores import KITS, Store, ack_of

from parley.log.direct import DirectLog
from parley.protocol.commands import SendMessage
from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, UserId
from parley.store.interface import Append, Outcome, StoreBroken
from parley.store.tables import conversations


@dataclass
class Server:
    store: Store
    published: list[Entry] = field(default_factory=list)
    broken: list[StoreBroken] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = DirectLog(
            self.store.batches, self.published.extend, turn_done=lambda: None, on_broken=self.broken.append
        )

    async def send(self, actor: UserId, here: ConversationId, client_id: str) -> Outcome:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.log.submit(Append(actor, SendMessage(here, client_id, "hello")), done.set_result)
        return await done


@pytest.fixture(params=list(KITS.values()), ids=list(KITS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = Store(request.param, tmp_path).open()
    yield store
    store.close()


async def test_many_writers_make_one_log(store: Store) -> None:
    """Twenty people, each waiting for each of their answers, in two conversations."""
    server = Server(store)
    people = [store.user(f"user{n}") for n in range(20)]
    rooms = [store.open_room(*people), store.open_room(*people)]
    said: dict[tuple[int, int], tuple[int, str]] = {}

    async def talk(actor: UserId) -> None:
        for n in range(10):
            room = rooms[n % 2]
            ack = ack_of(await server.send(actor, room, f"{actor}.{n}"))
            said[room, ack.seq] = (actor, f"{actor}.{n}")

    await asyncio.gather(*(talk(actor) for actor in people))

    for room in rooms:
        stored = store.log(room)[20:]
        assert [entry.seq for entry in stored] == list(range(21, 121))
        assert [entry for entry in server.published if entry.conversation_id == room] == stored
        assert [(entry.by, entry.client_id) for entry in stored] == [said[room, entry.seq] for entry in stored]


async def test_twenty_of_the_same_at_once_are_published_once(store: Store) -> None:
    server, ann = Server(store), store.user("ann")
    room = store.open_room(ann)

    acks = [ack_of(it) for it in await asyncio.gather(*(server.send(ann, room, "once") for _ in range(20)))]

    assert sorted(ack.duplicate for ack in acks) == [False] + [True] * 19
    assert {ack.seq for ack in acks} == {2}
    assert [entry.client_id for entry in server.published] == ["once"]


async def test_each_hears_their_answer_after_everybody_could_read_it(store: Store) -> None:
    """At the moment of the ack, a reader on another connection finds the entry."""
    server, ann = Server(store), store.user("ann")
    room = store.open_room(ann)
    for n in range(10):
        seq = ack_of(await server.send(ann, room, f"m{n}")).seq
        head = await store.database.read(
            lambda connection: connection.scalar(select(conversations.c.last_seq).where(conversations.c.id == room))
        )
        assert head == seq


async def test_draining_into_a_closing_store_answers_everybody(store: Store) -> None:
    server, ann = Server(store), store.user("ann")
    room = store.open_room(ann)
    asked = [asyncio.create_task(server.send(ann, room, f"m{n}")) for n in range(50)]
    await asyncio.sleep(0)

    await server.log.drain()
    await asyncio.to_thread(store.database.stop)

    outcomes = await asyncio.gather(*asked)
    assert [ack_of(outcome).seq for outcome in outcomes] == list(range(2, 52))
