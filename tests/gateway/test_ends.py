"""How sockets end: silence, slowness, drain, the end of a session."""

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any

import pytest
from tests.gateway.conftest import Serving
from tests.gateway.hand import CLOSE, PING, PONG, HandSocket
from tests.gateway.live import HERE, PASSWORD, Live, Person, until
from tests.gateway.test_opening import seqs
from tests.gateway.test_sending import answers, message

from parley.gateway import connection
from parley.store.interface import Append, Fence, Mark
from parley.testing import RawSocket

QUICK = {"ping_s": 0.2, "silence_s": 1.0}


async def test_an_idle_connection_is_pinged_and_lives_by_its_pongs(serving: Serving) -> None:
    async with serving(heartbeat=QUICK) as server:
        socket = await server.hand_open(await server.person("alice"))
        began = time.monotonic()
        while time.monotonic() - began < 1.6:
            assert await socket.frame() == (PING, b"")
            await socket.send(b"", PONG)

        await socket.send({"type": "ping"})
        assert await socket.json() == {"type": "pong"}


async def test_a_silent_connection_is_dropped(serving: Serving) -> None:
    """After it was asked; others are not."""
    async with serving(heartbeat=QUICK) as server:
        alice = await server.person("alice")
        living = await server.connect(alice)
        silent = await server.hand_open(alice)
        began = time.monotonic()

        assert await silent.closed() == 4002
        assert 0.9 < time.monotonic() - began < 3
        assert await living.heard() == []


async def test_one_that_only_speaks_is_not_pinged(serving: Serving) -> None:
    async with serving(heartbeat={"ping_s": 0.8, "silence_s": 2}) as server:
        socket = await server.hand_open(await server.person("alice"))
        for _ in range(12):
            await socket.send({"type": "ping"})
            assert await socket.json() == {"type": "pong"}
            await asyncio.sleep(0.1)


async def test_logging_out_ends_the_sockets_of_that_session(server: Live, alice: Person) -> None:
    """And no other's; the reason says not to come back."""
    other = await server.another_session(alice)
    hers, others = [await server.connect(alice) for _ in range(2)], await server.connect(other)
    await server.parley.accounts.logout(alice.identity)

    for socket in hers:
        await socket.expect_close(4500)
    assert await others.heard() == []


async def test_a_new_password_ends_the_other_sessions(server: Live, alice: Person) -> None:
    other = await server.another_session(alice)
    hers, others = await server.connect(alice), await server.connect(other)
    await server.parley.accounts.change_password(alice.identity, PASSWORD, "another correct horse", HERE)

    await others.expect_close(4500)
    assert await hers.heard() == []


async def test_nothing_is_heard_after_the_session_has_ended(
    server: Live, alice: Person, bob: Person, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even what is committed while the goodbye is under way."""
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.2)
    socket = await server.hand_open(alice)
    await socket.send({"type": "ping"})
    assert await socket.json() == {"type": "pong"}
    await server.parley.accounts.logout(alice.identity)
    await server.say(bob, talk)

    assert (await socket.frame())[0] == CLOSE
    assert await socket.ended() == b""


async def test_a_session_that_ends_while_its_socket_is_let_in(
    server: Live, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was asked before the logout and answers after it: the socket must not outlive its session."""
    read, asked, go_on = server.parley.database.read, asyncio.Event(), asyncio.Event()

    async def slow(question: Any) -> Any:
        found = await read(question)
        asked.set()
        await go_on.wait()
        return found

    server.parley.accounts.sessions._known.clear()
    monkeypatch.setattr(server.parley.database, "read", slow)
    socket = await server.hand()
    upgrading = asyncio.create_task(socket.upgrade({"Authorization": f"Bearer {alice.token}"}))
    await asked.wait()
    await server.parley.accounts.logout(alice.identity)
    go_on.set()
    monkeypatch.undo()

    assert (await upgrading).status == 401 or await socket.closed() == 4500


class HeldStore:
    """Holds batches back until it is let go."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches
        self._held: list[Any] = []
        self.holding = True

    def submit(self, appends: Sequence[Append], marks: Sequence[Mark], done: Any, fences: Sequence[Fence] = ()) -> None:
        if self.holding:
            self._held.append((appends, marks, done, fences))
        else:
            self._batches.submit(appends, marks, done, fences)

    def let_go(self) -> None:
        self.holding = False
        for held in self._held:
            self._batches.submit(*held)


def hold_back(server: Live) -> HeldStore:
    """Put one in front of a server's store."""
    log: Any = server.parley.log
    store = log._store = HeldStore(log._store)
    return store


async def test_draining_settles_what_was_accepted_and_refuses_what_comes(
    server: Live, alice: Person, bob: Person, talk: str
) -> None:
    """What was accepted is acknowledged and told, then everybody is sent away to come back."""
    store = hold_back(server)
    hers, his = await server.connect(alice), await server.connect(bob)
    await hers.send({"type": "message.send", "id": "accepted", "payload": message(talk, "c1")})
    assert await hers.heard() == []
    stopping = asyncio.create_task(server.parley.stop())
    await asyncio.sleep(0)
    late = await hers.ask("message.send", message(talk, "c2"))
    store.let_go()

    assert (late["payload"]["name"], late["payload"]["retryable"]) == ("draining", True)
    assert (await answers(hers, 1))["accepted"]["type"] == "ack"
    assert seqs([await his.expect("log")], talk) == [3]
    assert re.search(r"\b\d{1,4} ms", await his.expect_close(4003))
    await hers.expect_close(4003)
    await stopping


async def test_who_does_not_say_goodbye_does_not_hold_the_drain(
    server: Live, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.gateway.gateway.GOODBYE_SECONDS", 0.2)
    rude = await server.hand_open(alice)
    async with asyncio.timeout(3):
        await server.parley.stop()

    assert (await rude.frame())[0] == CLOSE
    assert await rude.ended() == b""


# Slow readers


async def drowned(server: Live, talk: str, *writers: Person) -> None:
    """Say so much that a socket that is not read fills: kernels hold some megabytes on the way."""
    for _ in range(40):
        await asyncio.gather(*(server.say(writer, talk, "x" * 8000) for writer in writers for _ in range(30)))


async def stuck(server: Live, person: Person) -> HandSocket:
    """A live connection that reads nothing any more."""
    socket = await server.hand_open(person)
    await socket.send({"type": "ping"})
    assert await socket.json() == {"type": "pong"}
    socket.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads as well
    return socket


async def test_a_reader_that_stops_is_closed_alone(
    server: Live, alice: Person, bob: Person, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others hear everything; the resume of the slow one catches up completely."""
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.3)
    slow = await stuck(server, bob)
    hers = await server.connect(alice)
    heard: list[int] = []

    async def listen() -> None:
        while len(heard) < 1200:
            heard.extend(seqs([await hers.recv()], talk))

    listening = asyncio.create_task(listen())
    await drowned(server, talk, alice)
    await listening
    assert server.parley.outbound.closed_slow == 1
    assert heard == list(range(3, 1203))
    await gone(server, bob)
    slow.writer.transport.abort()
    await catches_up(server, bob, talk, 1202)


async def resume(server: Live, socket: HandSocket, *talks: str) -> None:
    """Ask for everything."""
    payload = {"epoch": server.parley.store.epoch, "cursors": dict.fromkeys(talks, 0)}
    await socket.send({"type": "resume", "id": "r", "payload": payload})


async def gone(server: Live, person: Person) -> None:
    await until(lambda: not server.parley.hub.connections_of(person.actor.user_id))


async def catches_up(server: Live, person: Person, talk: str, head: int) -> None:
    again, welcome = await server.login(person)
    ack, events = await again.gather("resume", {"epoch": welcome["epoch"], "cursors": {talk: 0}})
    assert ack["payload"]["live"] == {talk: head}
    assert seqs(events, talk) == list(range(1, head + 1))


async def test_a_slow_socket_holds_no_more_than_its_bound(
    server: Live, alice: Person, bob: Person, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is said in one turn: what waits for a socket has a bound, and what is beyond is dropped with it."""
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 60)
    slow = await stuck(server, bob)
    (held,) = server.parley.hub.connections_of(bob.actor.user_id)
    most = 0
    for _ in range(20):
        await drowned_once(server, talk, alice)
        most = max(most, sum(map(len, held.queue or ())) + held.wire.get_write_buffer_size())

    assert held.closing
    assert most < 3 * server.parley.outbound.queue_bytes
    slow.writer.transport.abort()


async def drowned_once(server: Live, talk: str, writer: Person) -> None:
    await asyncio.gather(*(server.say(writer, talk, "x" * 8000) for _ in range(900)))


async def test_a_resume_of_much_is_not_a_slow_consumer(serving: Serving) -> None:
    """Pages wait for the socket, however many conversations they come from."""
    async with serving(limits={"queue_bytes": 65_536, "queue_frames": 8}) as server:
        alice = await server.person("alice")
        talks = [await server.group(alice) for _ in range(20)]
        for talk in talks:
            await server.say_many(alice, talk, 40, "x" * 8000)
        socket = await stuck(server, alice)
        await resume(server, socket, *talks)
        await filled(server, alice)
        socket.writer.transport.resume_reading()  # type: ignore[attr-defined]
        frames: list[dict[str, Any]] = []
        while not frames or "id" not in frames[-1]:
            frames.append(await socket.json())

        assert frames[-1]["payload"]["live"] == dict.fromkeys(talks, 41)
        assert all(seqs(frames, talk) == list(range(1, 42)) for talk in talks)


async def filled(server: Live, person: Person) -> None:
    """Until the server cannot write to the person's socket any more."""
    (held,) = server.parley.hub.connections_of(person.actor.user_id)
    await until(lambda: held.paused)


async def test_a_resume_without_progress_is_given_up(
    server: Live, alice: Person, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead reader is not waited for."""
    monkeypatch.setattr(connection, "DRAIN_SECONDS", 0.3)
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.1)
    await server.say_many(alice, talk, 900, "x" * 8000)
    socket = await stuck(server, alice)
    await socket.send(
        {"type": "resume", "id": "r", "payload": {"epoch": server.parley.store.epoch, "cursors": {talk: 0}}}
    )
    await filled(server, alice)

    await gone(server, alice)


async def test_two_that_wait_for_one_socket_both_go_on(
    server: Live, alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Being added to conversations while a page is on its way must not cost the connection."""
    monkeypatch.setattr(connection, "DRAIN_SECONDS", 1.0)
    talk = await server.group(alice, bob)
    await server.say_many(alice, talk, 900, "x" * 8000)
    socket = await stuck(server, bob)
    await socket.send(
        {"type": "resume", "id": "r", "payload": {"epoch": server.parley.store.epoch, "cursors": {talk: 0}}}
    )
    await filled(server, bob)
    others = [await server.group(alice, bob) for _ in range(3)]
    await asyncio.sleep(0.3)
    socket.writer.transport.resume_reading()  # type: ignore[attr-defined]
    frames: list[dict[str, Any]] = []
    while not all(seqs(frames, other) == [2] for other in others) or seqs(frames, talk)[-1] < 902:
        frames.append(await socket.json())

    assert seqs(frames, talk) == list(range(1, 903))


async def test_raw_socket_is_closed(server: Live, alice: Person) -> None:
    """A client that just goes leaves nothing behind."""
    sockets: list[RawSocket | HandSocket] = [await server.connect(alice), await server.hand_open(alice)]
    for socket in sockets:
        await socket.close()
    await gone(server, alice)

    assert server.parley.gateway.connections == 0
    assert (server.parley.hub.users, server.parley.hub.feeds) == ({}, {})
