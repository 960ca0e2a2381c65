"""Sending: exactly once in effect, in order, at a bounded rate."""

import asyncio
from typing import Any

import pytest
from tests.gateway.conftest import Serving
from tests.gateway.live import Live, Person, until
from tests.gateway.test_opening import seqs

from parley.gateway import connection
from parley.testing import RawSocket


def message(conversation: str, client_id: str, text: str = "hi") -> dict[str, Any]:
    return {"conversation_id": conversation, "client_id": client_id, "text": text}


async def answers(socket: RawSocket, count: int) -> dict[str, dict[str, Any]]:
    """The next answers by their ids; events between them are let go."""
    found: dict[str, dict[str, Any]] = {}
    while len(found) < count:
        frame = await socket.recv()
        if frame["type"] in ("ack", "error"):
            found[frame["id"]] = frame
    return found


async def test_the_ack_and_the_entry_agree(server: Live, alice: Person, bob: Person, talk: str) -> None:
    """Sender and reader see one entry, and the ack names it."""
    hers, his = await server.connect(alice), await server.connect(bob)
    ack = await hers.acked("message.send", message(talk, "c1", "hello"))
    entry = (await his.expect("log"))["payload"]["entries"][0]

    assert (entry["seq"], entry["message"]["id"], entry["at"]) == (ack["seq"], ack["message_id"], ack["at"])
    assert (entry["kind"], entry["by"], entry["client_id"]) == ("message.created", alice.id, "c1")
    assert (entry["message"]["text"], ack["duplicate"]) == ("hello", False)


async def test_a_repeat_gets_the_first_ack_whatever_it_says_now(
    server: Live, alice: Person, bob: Person, talk: str
) -> None:
    """Another text, another conversation, too long a text: all of it is the message that was sent."""
    hers, his = await server.connect(alice), await server.connect(bob)
    first = await hers.acked("message.send", message(talk, "c1"))
    for again in (
        message(talk, "c1"),
        message(talk, "c1", "other"),
        message("1", "c1"),
        message(talk, "c1", "x" * 9000),
    ):
        assert await hers.acked("message.send", again) == first | {"duplicate": True}
    await hers.acked("message.send", message(talk, "c2"))

    assert seqs(await his.heard(), talk) == [first["seq"], first["seq"] + 1]


async def test_a_repeat_on_another_connection_gets_the_first_ack(server: Live, alice: Person, talk: str) -> None:
    """Ten at once of one message: one is new."""
    sockets = [await server.connect(alice) for _ in range(10)]
    acks = await asyncio.gather(*(socket.acked("message.send", message(talk, "c1")) for socket in sockets))

    assert sorted(ack["duplicate"] for ack in acks) == [False] + [True] * 9
    assert len({ack["message_id"] for ack in acks}) == 1


async def test_an_edit_repeated_after_a_later_edit_changes_nothing(server: Live, alice: Person, talk: str) -> None:
    """It was answered, so it is over: it must not bring the old text back."""
    socket = await server.connect(alice)
    sent = await socket.acked("message.send", message(talk, "c1", "one"))
    about = {"conversation_id": talk, "message_id": sent["message_id"]}
    first = await socket.acked("message.edit", about | {"client_id": "e1", "text": "two"})
    later = await socket.acked("message.edit", about | {"client_id": "e2", "text": "three"})

    assert await socket.acked("message.edit", about | {"client_id": "e1", "text": "two"}) == first | {"duplicate": True}
    assert await socket.heard() == []
    assert (await server.say(alice, talk)).seq == later["seq"] + 1


async def test_a_repeat_after_leaving_gets_the_first_ack(server: Live, bob: Person, talk: str) -> None:
    """Before membership is looked at: it was stored, and its sender must learn that."""
    socket = await server.connect(bob)
    first = await socket.acked("message.send", message(talk, "c1"))
    await socket.acked("conversation.leave", {"conversation_id": talk, "client_id": "l1"})

    assert await socket.acked("message.send", message(talk, "c1")) == first | {"duplicate": True}
    assert await socket.refused("message.send", message(talk, "c2")) == "unknown_conversation"


async def test_who_is_too_fast_is_told_when_to_go_on(serving: Serving) -> None:
    """A repeat above the limit still gets its first ack."""
    async with serving(limits={"messages_per_second": 1, "burst": 5}) as server:
        alice = await server.person("alice")
        talk = await server.group(alice)
        socket, _ = await server.login(alice)
        for number in range(7):
            await socket.send({"type": "message.send", "id": f"n{number}", "payload": message(talk, f"c{number}")})
        await socket.send({"type": "message.send", "id": "again", "payload": message(talk, "c0")})
        found = await answers(socket, 8)

        assert [found[f"n{number}"]["type"] for number in range(7)] == ["ack"] * 5 + ["error"] * 2
        assert found["n6"]["payload"]["name"] == "rate_limited"
        assert found["n6"]["payload"]["retryable"]
        assert 1000 <= found["n6"]["payload"]["retry_after_ms"] <= 3000
        assert found["again"]["payload"] == found["n0"]["payload"] | {"duplicate": True}


async def test_who_is_too_fast_to_somebody_new_still_gets_the_first_ack(serving: Serving) -> None:
    """To a user as to a conversation; and what was refused has opened nothing."""
    async with serving(limits={"messages_per_second": 1, "burst": 2}) as server:
        alice, bob, carol = [await server.person(name) for name in ("alice", "bob", "carol")]
        socket, _ = await server.login(alice)
        for id_, to, client_id in (("n0", bob, "c0"), ("n1", bob, "c1"), ("again", carol, "c0"), ("new", carol, "c2")):
            payload = {"to_user_id": to.id, "client_id": client_id, "text": "hi"}
            await socket.send({"type": "message.send", "id": id_, "payload": payload})
        found = await answers(socket, 4)

        assert found["again"]["payload"] == found["n0"]["payload"] | {"duplicate": True}
        assert found["new"]["payload"]["name"] == "rate_limited"
        assert server.parley.conversations.known_direct(alice.actor.user_id, carol.actor.user_id) is None


async def test_who_does_not_stop_is_not_read_for_a_while(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood costs the server no more than its sender's share, and others are served meanwhile."""
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.2)
    async with serving(limits={"messages_per_second": 100, "burst": 5}) as server:
        alice, bob = await server.person("alice"), await server.person("bob")
        flood, his = await server.connect(alice), await server.connect(bob)
        for number in range(300):
            await flood.send({"type": "ping", "id": str(number)})
        assert await his.heard() == []
        (held,) = server.parley.hub.connections_of(alice.actor.user_id)

        await until(lambda: held.reading_paused)
        assert (await flood.recv())["type"] == "pong"


async def test_order_holds_while_the_first_send_makes_the_conversation(
    server: Live, alice: Person, bob: Person
) -> None:
    """The second does not overtake the first, though it finds the conversation made."""
    hers, his = await server.connect(alice), await server.connect(bob)
    for number in range(10):
        payload = {"to_user_id": bob.id, "client_id": f"c{number}", "text": str(number)}
        await hers.send({"type": "message.send", "id": f"n{number}", "payload": payload})
    found = await answers(hers, 10)
    talk = found["n0"]["payload"]["conversation_id"]
    frames = [await his.expect("conversation.added")]
    while len(seqs(frames, talk)) < 10:
        frames.append(await his.recv())

    assert [found[f"n{number}"]["payload"]["seq"] for number in range(10)] == list(range(1, 11))
    assert seqs(frames, talk) == list(range(1, 11))


async def test_both_write_to_each_other_first(server: Live, alice: Person, bob: Person) -> None:
    """One conversation comes of it."""
    hers, his = await server.connect(alice), await server.connect(bob)
    one, other = await asyncio.gather(
        hers.acked("message.send", {"to_user_id": bob.id, "client_id": "a", "text": "hi"}),
        his.acked("message.send", {"to_user_id": alice.id, "client_id": "b", "text": "hi"}),
    )

    assert one["conversation_id"] == other["conversation_id"]
    assert sorted((one["seq"], other["seq"])) == [1, 2]


async def test_a_message_to_nobody(server: Live, alice: Person) -> None:
    socket = await server.connect(alice)
    for nobody in ("999999", "0"):
        payload = {"to_user_id": nobody, "client_id": "c1", "text": "hi"}
        assert await socket.refused("message.send", payload) == "unknown_user"


TEXTS = ("\u202eabc", "\u2028\u2029", '"\\/\b\f\n\r\t', "e\u0301", "\U0001f468\u200d\U0001f469", "\ufeff", "\x7f\x01")


async def test_texts_come_back_as_they_were_sent(server: Live, alice: Person, talk: str) -> None:
    """Nothing is normalised, trimmed or escaped away."""
    socket = await server.connect(alice)
    for number, text in enumerate(TEXTS):
        await socket.send({"type": "message.send", "id": "x", "payload": message(talk, f"c{number}", f" {text} .")})
        entry = (await socket.expect("log", skip=("ack",)))["payload"]["entries"][0]

        assert entry["message"]["text"] == f" {text} ."
