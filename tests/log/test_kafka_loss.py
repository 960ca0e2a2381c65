"""A broker of the test's own that dies, stays away, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.log.nodes import Node, Wires, real_node
from tests.store.stores import Store, ack_of

from parley.log.unanswered import Times
from parley.protocol.errors import Code
from parley.protocol.types import ConversationId, UserId
from parley.store.interface import Mark, Marked, Refused
from parley.testing.engines import KafkaServer

RETRYABLE = (Code.OUTCOME_UNKNOWN, Code.STORAGE_UNAVAILABLE, Code.BUSY)


@pytest.fixture
async def broker() -> AsyncIterator[KafkaServer]:
    async with KafkaServer() as server:
        yield server


async def test_a_broker_that_dies_in_mid_flow_and_one_that_stays_away(broker: KafkaServer, store: Store) -> None:
    """People talk while it is killed and started twice; each repeats what was not acknowledged, as clients do. Then it
    stays away: what is sent is refused within moments, marks still move, and afterwards all goes on."""
    wires = await Wires(broker.bootstrap, "loss.").make()
    people = [store.user(f"user{n}") for n in range(8)]
    rooms = [store.open_room(*people) for _ in range(3)]
    times = Times(look_up=0.3, give_up=2.0, stall=0.5, sweep=0.05)
    node = await real_node(wires, store.batches, store.database, times=times).open()
    acked: dict[tuple[ConversationId, int], str] = {}
    flowing, enough = asyncio.Event(), asyncio.Event()
    try:
        talking = asyncio.gather(*(_talk(node, actor, rooms, acked, flowing, enough) for actor in people))
        for _ in range(2):
            flowing.clear()
            await flowing.wait()
            broker.kill()
            await broker.started()
        enough.set()
        async with asyncio.timeout(90):
            said = await talking

        for room in rooms:
            log = store.log(room)[len(people) :]
            assert [entry.seq for entry in log] == list(range(len(people) + 1, store.head(room) + 1))
            assert len({entry.client_id for entry in log}) == len(log)
            assert {entry.seq: entry.client_id for entry in log} == {
                seq: client_id for (where, seq), client_id in acked.items() if where == room
            }
            for actor in people:
                mine = [entry.client_id for entry in log if entry.by == actor]
                assert mine == sorted(mine)
        assert len(acked) == sum(said)

        await _away(node, broker, people[0], rooms[0])
    finally:
        await node.close()


async def _talk(
    node: Node,
    actor: UserId,
    rooms: list[ConversationId],
    acked: dict[tuple[ConversationId, int], str],
    flowing: asyncio.Event,
    enough: asyncio.Event,
) -> int:
    """One after another until it is enough. Returns how many."""
    n = 0
    while not enough.is_set() or n < 30:
        room = rooms[(n // 5) % len(rooms)]
        client_id = f"{actor}.{n:06}"
        while isinstance(outcome := await node.send(actor, room, client_id), Refused):
            assert outcome.spec in RETRYABLE, outcome
            await asyncio.sleep(0.02)
        acked[room, ack_of(outcome).seq] = client_id
        n += 1
        if len(acked) % 40 == 0:
            flowing.set()
    return n


async def _away(node: Node, broker: KafkaServer, actor: UserId, room: ConversationId) -> None:
    broker.kill()
    assert await node.send(actor, room, "away.0") == Refused(Code.OUTCOME_UNKNOWN)
    assert not node.log.accepting
    assert node.log.reason == "Kafka does not answer"
    refused = node.submit(actor, room, "away.1")
    assert refused.done(), "it has to wait although nothing can come of it"
    assert await refused == Refused(Code.STORAGE_UNAVAILABLE)
    moved: asyncio.Future[Marked | Refused] = asyncio.get_running_loop().create_future()
    node.log.mark(Mark(actor, room, 3, 3), moved.set_result)
    assert isinstance(await moved, Marked)

    await broker.started()
    while isinstance(outcome := await node.send(actor, room, "away.0"), Refused):
        assert outcome.spec in RETRYABLE
        await asyncio.sleep(0.02)
    assert ack_of(outcome).seq > 0
    assert node.log.accepting
