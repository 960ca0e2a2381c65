"""Appenders that come, go, sleep and meet what they cannot take: over a real Kafka and a real store."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy import select, text
from structlog.testing import capture_logs
from tests.log.logs import Done, GatedStore, turn
from tests.log.nodes import EPOCH, PATIENT, GatedPlaces, Node, Wires, real_node
from tests.store.stores import SHARED, Store, ack_of

from parley.log import places
from parley.log.batching import INTERNAL_REASON
from parley.log.envelope import Envelope, Origin, encode_command
from parley.log.unanswered import Times
from parley.protocol.commands import SendMessage
from parley.protocol.errors import Code
from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, UserId
from parley.store.cluster_tables import poison
from parley.store.interface import (
    Append,
    Appended,
    BatchResult,
    BatchStore,
    Fence,
    Fenced,
    Mark,
    Refused,
    StoreUnavailable,
)
from parley.store.sql.appending import begin_partition

on_every_store = pytest.mark.parametrize("store", ["sqlite", *SHARED], indirect=True)


@pytest.fixture
async def nodes(wires: Wires, store: Store) -> AsyncIterator[Callable[..., Any]]:
    """Open a node: gateway=…, appender=…, and what `Node` takes. All are closed at the end."""
    async with AsyncExitStack() as stack:

        async def node(*, gateway: bool = True, appender: bool = True, batches: Any = None, **more: Any) -> Node:
            made = real_node(wires, batches or store.batches, store.database, **{"times": PATIENT, **more})
            stack.push_async_callback(made.close)
            return await made.open(gateway=gateway, appender=appender)

        yield node


class Talk:
    """People in rooms, each saying the next thing when the last one was acknowledged, or all at once."""

    def __init__(self, store: Store, people: int, rooms: int) -> None:
        self.store = store
        self.people = [store.user(f"user{n}") for n in range(people)]
        self.rooms = [store.open_room(*self.people) for _ in range(rooms)]
        self.heads = {room: store.head(room) for room in self.rooms}
        self.acked: dict[ConversationId, dict[int, str]] = defaultdict(dict)

    async def person(self, node: Node, actor: UserId, messages: int, first: int = 0) -> None:
        for n in range(first, first + messages):
            room = self.rooms[(actor + n) % len(self.rooms)]
            ack = ack_of(await node.send(actor, room, f"{actor}.{n:04}"))
            self.acked[room][ack.seq] = f"{actor}.{n:04}"

    async def everybody(self, node: Node, messages: int, first: int = 0) -> None:
        await asyncio.gather(*(self.person(node, actor, messages, first) for actor in self.people))

    def holds(self, messages: int) -> None:
        """Every message once, each at the seq that was acknowledged, each person's in order, without a gap."""
        for room in self.rooms:
            stored = self.store.log(room)[self.heads[room] :]
            assert [entry.seq for entry in stored] == list(range(self.heads[room] + 1, self.store.head(room) + 1))
            assert {entry.seq: entry.client_id for entry in stored} == self.acked[room]
            for actor in self.people:
                said = [entry.client_id for entry in stored if entry.by == actor]
                assert said == sorted(said)
        assert sum(len(acked) for acked in self.acked.values()) == messages * len(self.people)


@on_every_store
async def test_many_writers_make_one_log(nodes: Any, store: Store) -> None:
    talk = Talk(store, people=20, rooms=3)
    node = await nodes()
    await talk.everybody(node, 10)

    talk.holds(10)
    for room in talk.rooms:
        published = [entry for entry in node.published if entry.conversation_id == room]
        assert published == store.log(room)[talk.heads[room] :]


async def test_answers_find_their_way_to_another_process(nodes: Any, store: Store) -> None:
    """Two gateways without an appender, and an appender without a gateway."""
    talk = Talk(store, people=6, rooms=2)
    one = await nodes(appender=False, partition=1)
    two = await nodes(appender=False, partition=1)
    appender = await nodes(gateway=False)
    await asyncio.gather(
        *(talk.person(one if n % 2 else two, actor, 5) for n, actor in enumerate(talk.people)),
    )

    talk.holds(5)
    assert one.published == two.published == []
    assert len(appender.published) == 30


async def test_twenty_of_the_same_at_once_are_stored_once(nodes: Any, store: Store) -> None:
    talk = Talk(store, people=1, rooms=1)
    node, [ann], [room] = await nodes(), talk.people, talk.rooms

    acks = [ack_of(it) for it in await asyncio.gather(*(node.send(ann, room, "once") for _ in range(20)))]

    assert sorted(ack.duplicate for ack in acks) == [False] + [True] * 19
    assert {ack.seq for ack in acks} == {2}
    assert [entry.client_id for entry in node.published] == ["once"]


async def test_refusals_come_back_as_the_store_gave_them(nodes: Any, store: Store) -> None:
    talk = Talk(store, people=1, rooms=1)
    stranger = store.user("stranger")
    gateway = await nodes(appender=False)
    await nodes(gateway=False)

    assert await gateway.send(stranger, talk.rooms[0], "c1") == Refused(Code.NOT_A_MEMBER)


@on_every_store
async def test_partitions_that_move_in_mid_flow_lose_and_double_nothing(nodes: Any, store: Store) -> None:
    """A second appender joins, the first one leaves, a third one comes; people go on talking all the while."""
    talk = Talk(store, people=12, rooms=5)
    first = await nodes()
    talking = asyncio.create_task(talk.everybody(first, 60))
    await nodes(gateway=False)
    await first.stop_appending()
    await nodes(gateway=False)
    await talking

    talk.holds(60)


class SleepyStore:
    """Batches of one appender that fell asleep on its way to the database, until the test wakes it."""

    def __init__(self, store: BatchStore) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._asleep: list[Callable[[], None]] = []
        self.sleeping = asyncio.Event()
        self.result: asyncio.Future[BatchResult | StoreUnavailable] = self._loop.create_future()

    def submit(
        self, appends: Sequence[Append], marks: Sequence[Mark], done: Done, fences: Sequence[Fence] = ()
    ) -> None:
        def heard(result: BatchResult | StoreUnavailable) -> None:
            done(result)
            self._loop.call_soon_threadsafe(self.result.set_result, result)

        self._asleep.append(lambda: self._store.submit(appends, marks, heard, fences))
        self.sleeping.set()

    def wake(self) -> None:
        while self._asleep:
            self._asleep.pop(0)()


@on_every_store
async def test_a_zombie_writes_nothing(nodes: Any, store: Store) -> None:
    """It sleeps over a batch, its partitions are given to another, and it wakes up when that one has written it."""
    talk = Talk(store, people=1, rooms=1)
    [ann], [room] = talk.people, talk.rooms
    sleepy = SleepyStore(store.batches)
    zombie = await nodes(batches=sleepy, let_go_seconds=0.1)
    answers = [zombie.submit(ann, room, f"c{n}") for n in range(3)]
    await sleepy.sleeping.wait()
    await zombie.stop_appending()

    living = await nodes(gateway=False)
    outcomes = await asyncio.gather(*answers)
    sleepy.wake()

    assert isinstance(await sleepy.result, Fenced)
    assert [ack_of(outcome).seq for outcome in outcomes] == [2, 3, 4]
    assert [entry.client_id for entry in store.log(room)[1:]] == ["c0", "c1", "c2"]
    assert (zombie.published, living.published) == ([], store.log(room)[1:])


async def test_an_appender_that_was_overtaken_goes_on_where_the_store_stands(nodes: Any, store: Store) -> None:
    """It still has its partitions, and somebody has moved the offset: it drops what it holds and reads on there."""
    talk = Talk(store, people=1, rooms=1)
    [ann], [room] = talk.people, talk.rooms
    sleepy = SleepyStore(store.batches)
    node = await nodes(batches=sleepy)
    lost = node.submit(ann, room, "overtaken")
    await sleepy.sleeping.wait()
    [partition] = [fetched.partition for fetched in node.appender._writing.fetched]
    moved = text('UPDATE log_offsets SET next_offset = 1 WHERE "partition" = :partition')
    store.on_writer(lambda connection: connection.execute(moved, {"partition": partition}).rowcount)
    sleepy.wake()
    assert isinstance(await sleepy.result, Fenced)

    sleepy.result = asyncio.get_running_loop().create_future()
    sleepy.sleeping.clear()
    answer = node.submit(ann, room, "next")
    await sleepy.sleeping.wait()
    sleepy.wake()
    assert ack_of(await answer).seq == 2
    assert not lost.done()


@on_every_store
async def test_an_appender_that_dies_after_its_commit_is_not_missed(nodes: Any, store: Store) -> None:
    """Written, and the answer never sent: the origin finds it in the store."""
    talk = Talk(store, people=1, rooms=1)
    gateway = await nodes(appender=False, times=Times(look_up=0.3, give_up=20.0, sweep=0.05))
    mute = await nodes(gateway=False)
    mute.answers.tell = lambda origin, answers: None

    ack = ack_of(await gateway.send(talk.people[0], talk.rooms[0], "c1"))

    assert (ack.seq, ack.duplicate) == (2, True)


async def test_without_an_appender_the_outcome_is_unknown_and_a_repeat_gets_the_first_answer(
    nodes: Any, store: Store
) -> None:
    talk = Talk(store, people=1, rooms=1)
    [ann], [room] = talk.people, talk.rooms
    gateway = await nodes(appender=False, times=Times(look_up=0.05, give_up=0.3, sweep=0.05))

    assert await gateway.send(ann, room, "c1") == Refused(Code.OUTCOME_UNKNOWN)
    assert (gateway.unknown.value, gateway.log.accepting) == (1, False)
    assert gateway.log.reason == "commands wait in Kafka and nobody puts them into the store"
    later = gateway.submit(ann, room, "c2")
    # While nobody appends, one at a time.
    assert await gateway.send(ann, room, "c3") == Refused(Code.STORAGE_UNAVAILABLE)
    assert await later == Refused(Code.OUTCOME_UNKNOWN)

    await nodes(gateway=False)
    while (outcome := await gateway.send(ann, room, "c1")) == Refused(Code.OUTCOME_UNKNOWN):
        pass
    assert ack_of(outcome).seq == 2
    assert gateway.log.accepting
    assert [entry.client_id for entry in store.log(room)[1:]] == ["c1", "c2"]


# What cannot be taken

ASIDE = select(poison.c.topic, poison.c.offset, poison.c.reason, poison.c.record).order_by(poison.c.offset)


async def put(wires: Wires, *values: bytes | None, key: int = 1) -> None:
    """Straight into the commands topic, as somebody who should not."""
    producer = AIOKafkaProducer(bootstrap_servers=wires.bootstrap)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(wires.commands, value, key=b"%d" % key)
    finally:
        await producer.stop()


@on_every_store
async def test_poison_is_set_aside_and_the_partition_goes_on(nodes: Any, store: Store, wires: Wires) -> None:
    talk = Talk(store, people=1, rooms=1)
    [ann], [room] = talk.people, talk.rooms
    await put(wires, b"no record of ours", None, key=room)
    with capture_logs() as lines:
        node = await nodes()
        assert ack_of(await node.send(ann, room, "c1")).seq == 2

    aside = store.on_writer(lambda connection: connection.execute(ASIDE).all())
    assert [(topic, offset, record) for topic, offset, _, record in aside] == [
        (wires.commands, 0, "bm8gcmVjb3JkIG9mIG91cnM="), (wires.commands, 1, ""),
    ]  # fmt: skip
    assert node.poison.value == 2
    assert [line["offset"] for line in lines if line["event"] == "poison" and line["log_level"] == "error"] == [0, 1]


@on_every_store
async def test_poison_is_set_aside_once_though_it_is_read_twice(
    nodes: Any, store: Store, wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash after it was kept, and before its offset was passed."""
    talk = Talk(store, people=1, rooms=1)
    [ann], [room] = talk.people, talk.rooms
    await put(wires, b"poison", key=room)
    sleepy = SleepyStore(store.batches)
    crashing = await nodes(gateway=False, batches=sleepy, let_go_seconds=0.1)
    await sleepy.sleeping.wait()
    await crashing.close()
    assert store.rows("SELECT count(*) FROM poison") == [(1,)]

    node = await nodes()
    assert ack_of(await node.send(ann, room, "c1")).seq == 2
    assert store.rows("SELECT count(*) FROM poison") == [(1,)]
    assert node.poison.value == 0


async def test_poison_that_cannot_be_kept_is_not_passed(wires: Wires) -> None:
    store = GatedStore()

    class FullPlaces(GatedPlaces):
        full = 2

        async def set_aside(self, records: Sequence[tuple[int, int, str, bytes]]) -> int:
            if self.full:
                self.full -= 1
                raise StoreUnavailable("the disk is full")
            return await super().set_aside(records)

    kept = FullPlaces(store, wires.commands)
    await put(wires, b"poison")
    node = await Node(wires, store, kept, times=PATIENT).open(gateway=False)
    try:
        await store.batch()
        assert [(offset, value) for _, offset, _, value in kept.aside] == [(0, b"poison")]
        assert kept.full == 0
    finally:
        store.commit()
        await node.close()


class RefusingStore(GatedStore):
    """The database cannot take one command, whatever is done."""

    def _append(self, append: Append) -> Any:
        return Refused(Code.INTERNAL) if append.command.client_id == "bad" else super()._append(append)


async def test_a_command_that_the_store_cannot_take_is_answered_and_set_aside(wires: Wires) -> None:
    store = RefusingStore()
    kept = GatedPlaces(store, wires.commands)
    node = await Node(wires, store, kept, times=PATIENT).open()
    try:
        answers = [node.submit(UserId(1), ConversationId(n), f"{'bad' if n == 1 else n}") for n in range(3)]
        while not all(answer.done() for answer in answers):
            await store.batch()
            store.commit()
            await asyncio.sleep(0)
        assert [type(await answer) for answer in answers] == [Appended, Refused, Appended]
    finally:
        await node.close()

    assert [reason for _, _, reason, _ in kept.aside] == [INTERNAL_REASON]


async def test_commands_for_another_database_are_passed_over(nodes: Any, store: Store, wires: Wires) -> None:
    """Those of a database that this one was restored from, or of another installation."""
    talk = Talk(store, people=1, rooms=1)
    [ann], [room] = talk.people, talk.rooms
    append = Append(ann, SendMessage(room, "foreign", "hello"))
    await put(wires, Envelope(Origin("other", 0), f"not {EPOCH}").of([encode_command(1, append)]), key=room)
    node = await nodes()

    assert ack_of(await node.send(ann, room, "c1")).seq == 2
    assert [entry.client_id for entry in store.log(room)[1:]] == ["c1"]
    assert store.rows("SELECT count(*) FROM poison") == [(0,)]


@on_every_store
async def test_commands_that_kafka_lost_are_told_of_and_the_rest_goes_on(
    nodes: Any, store: Store, wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic was made anew, and its offsets begin at 0 again."""
    monkeypatch.setattr(places, "DOUBT_SECONDS", 0.01)
    talk = Talk(store, people=1, rooms=1)
    for partition in range(wires.partitions):
        await store.database.write(partial(begin_partition, topic=wires.commands, partition=partition, offset=1_000))
    with capture_logs() as lines:
        node = await nodes(times=Times(look_up=0.1, give_up=0.5, sweep=0.05))
        # What was sent before anybody noticed is lost as well; nobody was told that it was stored.
        while (outcome := await node.send(talk.people[0], talk.rooms[0], "c1")) == Refused(Code.OUTCOME_UNKNOWN):
            pass

    assert ack_of(outcome).seq == 2
    told = [line for line in lines if line["event"] == "commands_lost_by_kafka"]
    assert sorted(line["partition"] for line in told) == [0, 1, 2, 3]
    assert {(line["stored"], line["log_level"]) for line in told} == {(1_000, "error")}


# The store fails


class FailingStore(GatedStore):
    """Commits by itself; `refuses` says which batches it does not take."""

    def __init__(self, refuses: Callable[[list[str]], bool]) -> None:
        super().__init__()
        self.refuses = refuses
        self.batches: list[list[str]] = []

    def submit(
        self, appends: Sequence[Append], marks: Sequence[Mark], done: Done, fences: Sequence[Fence] = ()
    ) -> None:
        super().submit(appends, marks, done, fences)
        self.batches.append([append.command.client_id for append in appends])
        if self.refuses(self.batches[-1]):
            self.fail(StoreUnavailable("gone"))
        else:
            self.commit()


async def test_a_batch_waits_for_its_store_and_nobody_is_told_before(
    wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.log.appender.RETRY_SECONDS", (0.01,))
    store = FailingStore(lambda batch: len(store.batches) < 4)
    node = await Node(wires, store, GatedPlaces(store, wires.commands), times=PATIENT).open()
    try:
        outcomes = await asyncio.gather(*(node.send(UserId(1), ConversationId(1), f"c{n}") for n in range(3)))
    finally:
        await node.close()

    assert [ack_of(outcome).seq for outcome in outcomes] == [1, 2, 3]
    assert store.batches == [["c0", "c1", "c2"]] * 4


async def test_one_command_does_not_keep_all_others_out_for_ever(wires: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that fails again and again is made smaller, until what is before the culprit goes through."""
    monkeypatch.setattr("parley.log.appender.RETRY_SECONDS", (0.01,))
    appends = [Append(UserId(1), SendMessage(ConversationId(1), it, "x")) for it in ("a", "b", "bad", "d")]
    envelope = Envelope(Origin("gone", 0), EPOCH)
    await put(wires, *(envelope.of([encode_command(n, append)]) for n, append in enumerate(appends)))
    healed = asyncio.Event()
    store = FailingStore(lambda batch: "bad" in batch and not healed.is_set())
    before: list[str] = []
    node = Node(wires, store, GatedPlaces(store, wires.commands), times=PATIENT)
    written = asyncio.Event()

    def publish(entries: Sequence[Entry]) -> None:
        before.extend(entry.client_id for entry in entries)
        if before == ["a", "b"]:
            healed.set()
        if len(before) == 4:
            written.set()

    node.on_publish = publish
    await node.open(gateway=False)
    try:
        async with asyncio.timeout(20):
            await written.wait()
    finally:
        await node.close()

    assert store.batches[0] == ["a", "b", "bad", "d"]
    assert before == ["a", "b", "bad", "d"]


async def test_a_batch_that_outlives_its_partitions_is_not_written_twice_when_they_come_back(wires: Wires) -> None:
    """While it is still being written the partitions are given away and back, and read again from where it begins."""
    store = GatedStore()
    node = await Node(wires, store, GatedPlaces(store, wires.commands), times=PATIENT, let_go_seconds=0.01).open()
    intake = node.appender._intake
    arrived, again = intake._arrived, asyncio.Event()
    try:
        answers = [node.submit(UserId(1), ConversationId(1), f"c{n}") for n in range(3)]
        await store.batch()

        def heard() -> None:
            arrived()
            again.set()

        intake._arrived = heard
        await intake.on_partitions_revoked([])
        await intake.on_partitions_assigned([])
        async with asyncio.timeout(20):
            await again.wait()
        store.commit()
        await asyncio.gather(*answers)

        later = node.submit(UserId(1), ConversationId(1), "c3")
        while not later.done():
            await store.batch()
            store.commit()
            await turn()
    finally:
        await node.close()

    assert [entry.client_id for entry in store.durable] == ["c0", "c1", "c2", "c3"]
    assert max(store.offsets.values()) == 2, "one record for each of the two batches"
