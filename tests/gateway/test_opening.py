"""The first frames of a socket: welcome, and saying where one stands."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from tests.gateway.live import Live, Person

from parley.protocol.commands import Actor
from parley.protocol.types import ConversationId
from parley.testing import RawSocket


def seqs(frames: list[dict[str, Any]], conversation: str) -> list[int]:
    """Of all entries of one conversation, in the order they came."""
    logs = [frame["payload"] for frame in frames if frame["type"] == "log"]
    return [entry["seq"] for log in logs if log["conversation_id"] == conversation for entry in log["entries"]]


async def resume(socket: RawSocket, welcome: dict[str, Any], **cursors: int) -> tuple[dict[str, Any], list[Any]]:
    asked = {name.strip("_"): seq for name, seq in cursors.items()}
    ack, events = await socket.gather("resume", {"epoch": welcome["epoch"], "cursors": asked})
    assert ack["type"] == "ack", ack
    return ack["payload"], events


async def test_welcome_comes_first_and_is_whole(server: Live, alice: Person, bob: Person, talk: str) -> None:
    """All that a client needs to draw its first page."""
    await server.say(alice, talk, "hi")
    _, welcome = await server.login(bob)

    assert set(welcome) == {
        "connection_id", "epoch", "user", "server_time", "heartbeat_s", "limits", "lobby", "assistant",
        "makes_bots", "conversations",
    }  # fmt: skip
    assert welcome["user"] == {
        "id": bob.id, "username": "bob", "display_name": "bob", "role": "member", "guest": False,
        "created_at": welcome["user"]["created_at"],
    }  # fmt: skip
    assert (welcome["heartbeat_s"], welcome["limits"]["frame_bytes"]) == (25, 65_536)
    shown = {row["id"]: row for row in welcome["conversations"]}
    assert set(shown) == {welcome["lobby"], talk}
    assert (shown[talk]["head"], shown[talk]["unread"], shown[talk]["last_message"]["text"]) == (3, 1, "hi")


async def test_nothing_flows_before_the_client_has_said_where_it_stands(
    server: Live, alice: Person, bob: Person, talk: str
) -> None:
    """And nothing is lost by it: the resume sends it."""
    socket, welcome = await server.login(bob)
    await server.say(alice, talk)
    payload, events = await resume(socket, welcome, **{talk: 2})

    assert seqs(events, talk) == [3]
    assert payload == {"live": {talk: 3}, "reset": {}, "gone": []}


async def test_any_first_command_is_a_resume_from_welcome(server: Live, alice: Person, bob: Person, talk: str) -> None:
    """What was said between welcome and that command comes too."""
    socket, _ = await server.login(bob)
    await server.say(alice, talk)
    await socket.send({"type": "ping"})
    await server.say(alice, talk)
    frames = [await socket.recv() for _ in range(2)]
    while seqs(frames, talk) != [3, 4]:
        frames.append(await socket.recv())

    assert "pong" in {frame["type"] for frame in frames}


async def test_a_resume_after_an_implicit_one_sends_its_range_in_order(
    server: Live, alice: Person, bob: Person, talk: str
) -> None:
    """Both at once, as a hasty client does it: after the ack everything has come, in order and once."""
    await server.say_many(alice, talk, 5)
    socket, welcome = await server.login(bob)
    await socket.send({"type": "ping"})
    payload, events = await resume(socket, welcome, **{talk: 2})
    await server.say(alice, talk)

    assert (payload["live"], seqs(events, talk)) == ({talk: 7}, [3, 4, 5, 6, 7])
    assert seqs([await socket.recv()], talk) == [8]


async def test_many_resumes_at_once_each_send_their_range(server: Live, alice: Person, bob: Person, talk: str) -> None:
    """One after the other: none is lost, and what comes live afterwards comes once."""
    await server.say_many(alice, talk, 3)
    socket, welcome = await server.login(bob)
    for number in range(20):
        await socket.send(
            {"type": "resume", "id": f"n{number}", "payload": {"epoch": welcome["epoch"], "cursors": {talk: 2}}}
        )
    await server.say(alice, talk)
    answers: list[str] = []
    since: list[Any] = []
    while answers[-1:] != ["n19"] or seqs(since, talk)[-1] < 6:
        frame = await socket.recv()
        since.append(frame)
        if "id" in frame:
            answers.append(frame["id"])
            # What is said meanwhile may come live by the one before, and then again in the range of this one.
            assert seqs(since, talk) in ([3, 4, 5], [3, 4, 5, 6], [6, 3, 4, 5, 6])
            since = since if frame["id"] == "n19" else []

    assert answers == [f"n{number}" for number in range(20)]
    assert seqs(since, talk) in ([3, 4, 5, 6], [6, 3, 4, 5, 6])


async def test_what_a_resume_cannot_give_is_said(server: Live, alice: Person, mallory: Person, talk: str) -> None:
    """A foreign or unknown conversation is gone, a cursor from the future is reset."""
    mine = await server.group(mallory)
    socket, welcome = await server.login(mallory)
    payload, _ = await resume(socket, welcome, **{talk: 0, "999999": 0, mine: 77, welcome["lobby"]: 0})

    assert payload == {"live": {welcome["lobby"]: 0}, "reset": {mine: 1}, "gone": [talk, "999999"]}


@pytest.mark.parametrize("epoch", [None, "another history"])
async def test_another_history_is_a_reset(server: Live, alice: Person, talk: str, epoch: str | None) -> None:
    """Cursors of it mean nothing here; the conversation is live from its head all the same."""
    socket, _ = await server.login(alice)
    ack, events = await socket.gather("resume", {"epoch": epoch, "cursors": {talk: 1}})
    await server.say(alice, talk)

    assert (ack["payload"], seqs(events, talk)) == ({"live": {}, "reset": {talk: 2}, "gone": []}, [])
    assert seqs([await socket.recv()], talk) == [3]


async def test_a_long_absence_comes_in_pages(server: Live, alice: Person, talk: str) -> None:
    """Each says whether another follows."""
    await server.say_many(alice, talk, 450)
    socket, welcome = await server.login(alice)
    payload, events = await resume(socket, welcome, **{talk: 0})
    pages = [frame["payload"] for frame in events if frame["type"] == "log"]

    assert payload["live"] == {talk: 452}
    assert seqs(events, talk) == list(range(1, 453))
    assert [(len(page["entries"]), page["more"]) for page in pages] == [(200, True), (200, True), (52, False)]


async def test_a_gap_too_long_is_a_reset(
    server: Live, alice: Person, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.gateway.catchup.GAP", 10)
    await server.say_many(alice, talk, 12)
    socket, welcome = await server.login(alice)
    payload, events = await resume(socket, welcome, **{talk: 3})

    assert (payload, seqs(events, talk)) == ({"live": {}, "reset": {talk: 14}, "gone": []}, [])


async def test_commands_before_welcome_wait_for_it(server: Live, alice: Person, talk: str) -> None:
    """They are answered afterwards, in their order."""
    socket = await server.open(token=alice.token)
    for number in (1, 2, 3):
        payload = {"conversation_id": talk, "client_id": f"early{number}", "text": "hi"}
        await socket.send({"type": "message.send", "id": f"n{number}", "payload": payload})
    frames = [await socket.recv() for _ in range(2)]
    while sum(frame["type"] == "ack" for frame in frames) < 3:
        frames.append(await socket.recv())

    assert frames[0]["type"] == "welcome"
    assert [frame["payload"]["seq"] for frame in frames if frame["type"] == "ack"] == [3, 4, 5]


class SlowGreeter:
    """Reads what welcome tells, then lets the world go on before it says so."""

    def __init__(self, greeter: Any, meanwhile: Any) -> None:
        self._greeter = greeter
        self._meanwhile = meanwhile

    async def greet(self, actor: Actor) -> tuple[dict[str, Any], Mapping[ConversationId, int]]:
        read = await self._greeter.greet(actor)
        await self._meanwhile()
        for _ in range(20):
            await asyncio.sleep(0)
        return read  # type: ignore[no-any-return]


def meanwhile(server: Live, happens: Any) -> None:
    server.parley.gateway._greeter = SlowGreeter(server.parley.gateway._greeter, happens)


async def test_who_is_added_while_welcome_is_made_is_told_after_it(server: Live, alice: Person, bob: Person) -> None:
    """And then hears everything from the first entry on."""
    made: list[str] = []

    async def happens() -> None:
        made.append(await server.group(alice, bob))
        await server.say(alice, made[0])

    meanwhile(server, happens)
    socket, _ = await server.login(bob)
    added = (await socket.expect("conversation.added"))["payload"]["conversation"]
    _, events = await socket.gather("read.mark", {"conversation_id": made[0], "seq": 0})
    while seqs(events, made[0]) != [1, 2, 3][added["head"] :]:
        events.append(await socket.recv())

    assert added["id"] == made[0]


async def test_who_is_removed_while_welcome_is_made_is_told_after_it(
    server: Live, alice: Person, bob: Person, talk: str
) -> None:
    async def happens() -> None:
        await server.remove(alice, talk, bob)

    meanwhile(server, happens)
    socket, welcome = await server.login(bob)

    assert talk in {row["id"] for row in welcome["conversations"]}
    assert (await socket.expect("conversation.removed"))["payload"] == {"conversation_id": talk}
    assert (await resume(socket, welcome, **{talk: 1}))[0]["gone"] == [talk]
