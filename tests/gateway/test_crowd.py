"""Many at once: resumes under fire, and what a delivery costs."""

import asyncio
from random import Random
from typing import Any

import pytest
from tests.gateway.live import Live, Person, until
from tests.gateway.test_ends import hold_back
from tests.gateway.test_opening import seqs
from tests.gateway.test_sending import message

from parley.dialects.native import NativeCodec
from parley.testing import RawSocket

CLIENTS = 50
SENDERS = 4
MESSAGES = 150


async def follow(server: Live, person: Person, talk: str, random: Random, last: asyncio.Future[int]) -> list[int]:
    """Come, resume from anywhere, hear a little, go, and come back with what was heard, until all has come."""
    heard: list[int] = []
    cursor = start = random.randrange(0, 30)
    while not (last.done() and cursor >= last.result()):
        socket, welcome = await server.login(person)
        if random.random() < 0.3:
            await socket.send({"type": "ping"})
        asked = {"epoch": welcome["epoch"], "cursors": {talk: cursor}}
        await socket.send({"type": "resume", "id": "r", "payload": asked})
        cursor = await listen(socket, talk, cursor, heard, random.randrange(1, 200), last)
        await socket.close()
    assert heard == list(range(start + 1, last.result() + 1))
    return heard


async def listen(
    socket: RawSocket, talk: str, cursor: int, heard: list[int], patience: int, last: asyncio.Future[int]
) -> int:
    """Note what comes in the way a client does: from the resume's ack back, only what follows the cursor."""
    acked = False
    while patience > 0 and not (last.done() and cursor >= last.result() and acked):
        frame = await socket.recv()
        acked = acked or frame.get("id") == "r"
        for seq in seqs([frame], talk):
            patience -= 1
            assert seq <= cursor + 1 or not acked, f"a hole after {cursor}: {seq}"
            assert seq == cursor + 1 or not acked, f"{seq} again after {cursor}"
            if seq == cursor + 1:
                heard.append(seq)
                cursor = seq
    return cursor


async def test_fifty_come_and_go_while_four_write(server: Live, alice: Person, bob: Person) -> None:
    """From random cursors, again and again: each has heard every entry once, in order."""
    people = [alice, bob, await server.person("carol"), await server.person("dave")]
    talk = await server.group(*people)
    await server.say_many(alice, talk, 30)
    last: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def write(person: Person) -> int:
        socket = await server.connect(person)
        head = 0
        for number in range(MESSAGES):
            ack = await socket.acked("message.send", message(talk, f"w{number}"))
            head = max(head, ack["seq"])
        return head

    random = Random(7)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(follow(server, people[number % 4], talk, Random(random.random()), last))
        heads = await asyncio.gather(*(write(person) for person in people[:SENDERS]))
        # One more, for those who have heard all and wait.
        last.set_result(max(heads) + 1)
        await server.say(alice, talk)

    assert last.result() == 34 + SENDERS * MESSAGES + 1


async def test_peers_that_vanish_cost_the_others_nothing(server: Live, alice: Person, bob: Person, talk: str) -> None:
    """Reset at any moment of a delivery: everybody else hears every entry, and nothing is raised anywhere."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    his = await server.connect(bob)
    for _ in range(8):
        crowd = [await server.hand_open(alice) for _ in range(10)]
        for socket in crowd:
            await socket.send({"type": "ping"})
        saying = asyncio.create_task(server.say_many(alice, talk, 40, "x" * 2000))
        for socket in crowd:
            await asyncio.sleep(0.001)
            socket.reset()
        await saying
    frames: list[Any] = []
    while len(seqs(frames, talk)) < 320:
        frames.append(await his.recv())

    assert seqs(frames, talk) == list(range(3, 323))
    await until(lambda: not server.parley.hub.connections_of(alice.actor.user_id))
    assert faults == []


class CountingWire:
    """Counts the writes to one socket."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        self._wire.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)


async def test_a_turn_is_encoded_once_and_written_once_to_each(
    server: Live, alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many hear it, and however much is in it: entries of two conversations, acks and all."""
    talk, other = await server.group(alice, bob), await server.group(alice, bob)
    sockets = [await server.connect(person) for person in (alice, bob) * 10]
    wires = [CountingWire(one.wire) for one in server.parley.gateway._open]
    for one, wire in zip(server.parley.gateway._open, wires, strict=True):
        one.wire = wire
    encoded: list[int] = []
    real = NativeCodec.entries

    def counting(self: NativeCodec, about: Any, head: int, more: bool, entries: Any) -> Any:
        encoded.append(about.conversation_id)
        return real(self, about, head, more, entries)

    monkeypatch.setattr(NativeCodec, "entries", counting)
    store = hold_back(server)
    saying = [asyncio.ensure_future(server.say(alice, it)) for it in (talk, other, talk, other, talk)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    store.let_go()
    await asyncio.gather(*saying)
    for socket in sockets:
        frames = [await socket.recv(), await socket.recv()]
        assert (len(seqs(frames, talk)), len(seqs(frames, other))) == (3, 2)

    assert sorted(encoded) == sorted([int(talk), int(other)])
    assert [wire.writes for wire in wires] == [1] * 20
