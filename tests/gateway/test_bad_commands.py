"""Whole frames that ask for what cannot be: each gets its documented error and the connection lives."""

from typing import Any

import msgspec
import pytest
from tests.gateway.live import Live, Person

from parley.testing import RawSocket

NOWHERE = "999999"


@pytest.fixture
async def socket(server: Live, alice: Person, talk: str) -> RawSocket:
    return await server.connect(alice)


async def refuse(socket: RawSocket, frame: Any, name: str, id_: str | None = "x") -> str:
    """Send; the answer must be this error, to this id, and the connection must live. Returns the message."""
    await (socket.send_raw(frame) if isinstance(frame, str) else socket.send(frame))
    answer = await socket.expect("error")
    assert (answer["payload"]["name"], answer["id"]) == (name, id_), (frame, answer)
    assert await socket.heard() == []
    return str(answer["payload"]["message"])


NOT_OBJECTS = [
    "",
    " ",
    "{",
    "}",
    "null",
    "1",
    '"ping"',
    "[]",
    '[{"type":"ping"}]',
    "{'type':'ping'}",
    '{"type":"ping"}x',
]


async def test_what_is_no_json_object(socket: RawSocket) -> None:
    for text in (*NOT_OBJECTS, "[" * 30_000, '{"a":' * 10_000):
        await refuse(socket, text, "bad_payload", None)


SHAPES: dict[str, tuple[Any, str]] = {
    "no type": ({"id": "x", "payload": {}}, "bad_payload"),
    "a type that is a number": ({"type": 7, "id": "x"}, "bad_payload"),
    "an unknown type": ({"type": "message.shout", "id": "x", "payload": {}}, "unknown_type"),
    "an event's type": ({"type": "log", "id": "x", "payload": {}}, "unknown_type"),
    "no payload": ({"type": "message.send", "id": "x"}, "bad_payload"),
    "a payload that is a list": ({"type": "message.send", "id": "x", "payload": []}, "bad_payload"),
    "an extra field": ({"type": "ping", "id": "x", "payload": {}, "more": 1}, "bad_payload"),
    "an extra field within": ({"type": "ping", "id": "x", "payload": {"more": 1}}, "bad_payload"),
    "a long id": ({"type": "ping", "id": "x" * 65}, "bad_payload"),
}


async def test_frames_of_the_wrong_shape(socket: RawSocket) -> None:
    for frame, name in SHAPES.values():
        await refuse(socket, frame, name, frame["id"][:64])


async def test_an_id_that_is_no_text_is_not_returned(socket: RawSocket) -> None:
    for id_ in (7, True, ["x"], {"x": 1}):
        await refuse(socket, {"type": "ping", "id": id_}, "bad_payload", None)


def send(conversation: str, **more: Any) -> dict[str, Any]:
    payload = {"conversation_id": conversation, "client_id": "once", "kind": "text", "text": "hi"} | more
    return {"type": "message.send", "id": "x", "payload": {k: v for k, v in payload.items() if v != "-"}}


MESSAGES: dict[str, tuple[dict[str, Any], str]] = {
    "a conversation that is a number": ({"conversation_id": 5}, "bad_payload"),
    "a conversation that is a word": ({"conversation_id": "lobby"}, "bad_payload"),
    "a negative conversation": ({"conversation_id": "-1"}, "bad_payload"),
    "a conversation in other digits": ({"conversation_id": "１２"}, "bad_payload"),
    "a conversation beyond 64 bits": ({"conversation_id": "9223372036854775808"}, "bad_payload"),
    "a conversation that is not there": ({"conversation_id": NOWHERE}, "unknown_conversation"),
    "conversation zero": ({"conversation_id": "0"}, "unknown_conversation"),
    "no conversation": ({"conversation_id": "-"}, "bad_payload"),
    "two addresses": ({"to_user_id": "1"}, "bad_payload"),
    "no client_id": ({"client_id": "-"}, "bad_payload"),
    "an empty client_id": ({"client_id": ""}, "bad_payload"),
    "a long client_id": ({"client_id": "c" * 65}, "bad_payload"),
    "a client_id with a space": ({"client_id": "a b"}, "bad_payload"),
    "a client_id with a line break": ({"client_id": "a\n"}, "bad_payload"),
    "a client_id that is a number": ({"client_id": 7}, "bad_payload"),
    "no text": ({"text": "-"}, "bad_payload"),
    "an empty text": ({"text": ""}, "bad_payload"),
    "a blank text": ({"text": " \n\t\u3000"}, "bad_payload"),
    "a text that is a number": ({"text": 1}, "bad_payload"),
    "U+0000": ({"text": "a\x00b"}, "bad_payload"),
    "a text too long": ({"text": "x" * 8001}, "too_long"),
    "an unknown kind": ({"kind": "hologram"}, "bad_payload"),
    "a system message": ({"kind": "system"}, "forbidden"),
    "a file that is not there": ({"attachments": ["1"]}, "unknown_file"),
    "a thread": ({"thread_of": "1"}, "unsupported"),
    "an answer to nothing": ({"reply_to": "1"}, "unknown_message"),
    "mentions that are numbers": ({"mentions": [1]}, "bad_payload"),
    "too many mentions": ({"mentions": ["1"] * 101}, "bad_payload"),
}


async def test_messages_that_cannot_be(socket: RawSocket, talk: str) -> None:
    """And the client_id is not used up: the same one carries a good message afterwards."""
    for fields, name in MESSAGES.values():
        await refuse(socket, send(talk, **fields), name)

    assert (await socket.ask("message.send", send(talk)["payload"]))["payload"]["duplicate"] is False


async def test_lone_surrogates_in_any_text(socket: RawSocket, talk: str) -> None:
    """They are not Unicode text: JSON can write them down, UTF-8 and databases cannot."""
    for half in (r"\ud800", r"\udc00", r"\ud800x", r"\udc00\ud800"):
        for field in ("text", "client_id"):
            whole = msgspec.json.encode(send(talk, **{field: "HALF"})).decode()
            await socket.send_raw(whole.replace("HALF", half))
            assert (await socket.expect("error"))["payload"]["name"] == "bad_payload"
    await socket.acked("message.send", send(talk, text="😀")["payload"])


async def test_the_longest_text_is_counted_in_characters(socket: RawSocket, talk: str) -> None:
    """Eight thousand of four bytes each are as good as of one."""
    await socket.acked("message.send", send(talk, text="😀" * 8000)["payload"])
    await refuse(socket, send(talk, text="😀" * 8001, client_id="other"), "too_long")


async def test_a_strangers_conversation(server: Live, mallory: Person, talk: str) -> None:
    """A private conversation is not there at all for others; an open room is, and says to join."""
    stranger = await server.connect(mallory)
    room = await server.room(await server.person("carol"), "den")
    private = {"conversation_id": talk, "message_id": "1"}

    asked: dict[str, dict[str, Any]] = {
        "message.send": {"client_id": "c", "text": "hi", "message_id": "-"},
        "message.edit": {"text": "hi"},
        "message.delete": {},
        "reaction.add": {"emoji": "👍"},
        "pin.add": {},
        "conversation.leave": {"message_id": "-"},
        "read.mark": {"seq": 1, "message_id": "-"},
        "typing.set": {"is_typing": True, "message_id": "-"},
    }
    for type_, more in asked.items():
        payload = {key: value for key, value in (private | more).items() if value != "-"}
        assert await stranger.refused(type_, payload) == "unknown_conversation", type_
    assert await stranger.refused("conversation.join", {"conversation_id": talk}) == "unknown_conversation"
    assert await stranger.refused("message.send", send(room)["payload"]) == "not_a_member"


async def test_a_message_of_another_conversation(server: Live, socket: RawSocket, alice: Person, talk: str) -> None:
    """An id is only good in its own conversation."""
    elsewhere = await server.group(alice)
    message = str((await server.say(alice, elsewhere)).message_id)

    for type_, more in {"message.edit": {"text": "x"}, "message.delete": {}, "pin.add": {}}.items():
        about = {"conversation_id": talk, "message_id": message} | more
        assert await socket.refused(type_, about) == "unknown_message", type_


async def test_a_deleted_message(server: Live, socket: RawSocket, alice: Person, talk: str) -> None:
    """It can be deleted again, which changes nothing, and nothing else can be done with it."""
    about = {"conversation_id": talk, "message_id": str((await server.say(alice, talk)).message_id)}
    deleted = await socket.acked("message.delete", about)

    for type_, more in {"message.edit": {"text": "x"}, "reaction.add": {"emoji": "👍"}, "pin.add": {}}.items():
        assert await socket.refused(type_, about | more) == "message_deleted", type_
    assert (await socket.acked("message.delete", about))["seq"] == deleted["seq"]


async def test_anothers_message_needs_a_moderator(server: Live, bob: Person, alice: Person, talk: str) -> None:
    about = {"conversation_id": talk, "message_id": str((await server.say(alice, talk)).message_id)}
    his = await server.connect(bob)

    assert await his.refused("message.edit", about | {"text": "x"}) == "role_required"
    assert await his.refused("message.delete", about) == "role_required"


OTHERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a negative seq": ("read.mark", {"seq": -1}, "bad_payload"),
    "a seq beyond a number": ("read.mark", {"seq": 1 << 53}, "bad_payload"),
    "a seq that is a text": ("read.mark", {"seq": "1"}, "bad_payload"),
    "a seq with a fraction": ("read.mark", {"seq": 1.5}, "bad_payload"),
    "typing that is a number": ("typing.set", {"is_typing": 1}, "bad_payload"),
    "an empty emoji": ("reaction.add", {"message_id": "1", "emoji": ""}, "bad_payload"),
    "a blank emoji": ("reaction.add", {"message_id": "1", "emoji": " "}, "bad_payload"),
    "a long emoji": ("reaction.add", {"message_id": "1", "emoji": "👍" * 17}, "bad_payload"),
    "an emoji with a control": ("reaction.add", {"message_id": "1", "emoji": "a\x07"}, "bad_payload"),
    "a message that is not there": ("reaction.add", {"message_id": "1", "emoji": "👍"}, "unknown_message"),
    "no assistant": ("assistant.cancel", {"message_id": "1"}, "unsupported"),
}


async def test_other_commands_that_cannot_be(socket: RawSocket, talk: str) -> None:
    for type_, payload, name in OTHERS.values():
        await refuse(socket, {"type": type_, "id": "x", "payload": {"conversation_id": talk} | payload}, name)


async def test_what_is_watched_and_resumed_has_a_bound(socket: RawSocket) -> None:
    await refuse(socket, {"type": "presence.watch", "id": "x", "payload": {"user_ids": ["1"] * 501}}, "bad_payload")
    for cursors in ({"x": 1}, {"1": -1}, {"1": "1"}, {str(n): 0 for n in range(1, 6000)} | {"1": None}, [1]):
        await refuse(socket, {"type": "resume", "id": "x", "payload": {"cursors": cursors}}, "bad_payload")


async def test_the_owner_passes_on_before_leaving(socket: RawSocket, talk: str) -> None:
    assert await socket.refused("conversation.leave", {"conversation_id": talk}) == "owner_must_transfer"


async def test_a_refused_message_to_somebody_new_opens_no_conversation(
    server: Live, alice: Person, bob: Person
) -> None:
    """What was refused has done nothing, on either side."""
    hers = await server.connect(alice)
    payload = {"to_user_id": bob.id, "client_id": "c1", "text": "x" * 8001}

    assert await hers.refused("message.send", payload) == "too_long"

    assert server.parley.conversations.known_direct(alice.actor.user_id, bob.actor.user_id) is None
