"""The log and messages over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from tests.http.talk_server import TalkServer, refusal, talk_server

from parley.protocol.commands import Actor
from parley.protocol.types import ConversationId


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TalkServer]:
    async with talk_server(tmp_path) as server:
        yield server


@pytest.fixture
async def ann(server: TalkServer) -> Actor:
    return await server.world.account("ann")


@pytest.fixture
async def bob(server: TalkServer) -> Actor:
    return await server.world.account("bob")


@pytest.fixture
async def group(server: TalkServer, ann: Actor, bob: Actor) -> ConversationId:
    return await server.world.group(ann, bob)


@pytest.fixture
async def as_ann(server: TalkServer, ann: Actor, group: ConversationId) -> AsyncIterator[httpx.AsyncClient]:
    """Inside the group: paths are relative to it."""
    async with server.client(ann) as client:
        client.base_url = client.base_url.join(f"conversations/{group}/")
        yield client


@pytest.fixture
async def as_bob(server: TalkServer, bob: Actor, group: ConversationId) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client(bob) as client:
        client.base_url = client.base_url.join(f"conversations/{group}/")
        yield client


async def say(client: httpx.AsyncClient, text: str, client_id: str) -> str:
    answer = await client.post("messages", json={"client_id": client_id, "text": text})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["message_id"])


async def test_a_message_is_stored_once(as_ann: httpx.AsyncClient, group: ConversationId) -> None:
    """201 the first time; a repeat is answered 200 with the first ack, whatever it says."""
    first = await as_ann.post("messages", json={"client_id": "say-1", "kind": "text", "text": "hi"})
    again = await as_ann.post("messages", json={"client_id": "say-1", "text": "something else"})

    assert (first.status_code, again.status_code) == (201, 200)
    assert list(first.json()) == ["conversation_id", "seq", "at", "duplicate", "message_id"]
    assert first.json()["seq"] == 3
    assert again.json() == {**first.json(), "duplicate": True}
    [message] = (await as_ann.get("messages")).json()["items"]
    assert message["text"] == "hi"


@pytest.mark.parametrize(
    "body",
    [
        {"text": "hi"},
        {"client_id": "a"},
        {"client_id": "a", "text": " "},
        {"client_id": "a", "text": 5},
        {"client_id": "a", "text": "hi", "kind": "system"},
        {"client_id": "a", "text": "hi", "to_user_id": "1"},
        {"client_id": "a", "text": "hi", "reply_to": 5},
        {"client_id": "a", "text": "a\0b"},
        {"client_id": "a" * 65, "text": "hi"},
    ],
)
async def test_what_is_not_of_the_documented_shape_is_refused(as_ann: httpx.AsyncClient, body: object) -> None:
    assert refusal(await as_ann.post("messages", json=body)) == (400, "bad_payload")


async def test_answering_and_mentioning(as_ann: httpx.AsyncClient, bob: Actor) -> None:
    first = await say(as_ann, "question", "say-1")
    body = {"client_id": "say-2", "text": "answer", "reply_to": first, "mentions": [str(bob.user_id), "999"]}
    await as_ann.post("messages", json=body)

    message = (await as_ann.get("messages")).json()["items"][-1]

    assert (message["reply_to"], message["mentions"]) == (first, [str(bob.user_id)])


async def test_the_log_shows_entries_as_frames_do(as_ann: httpx.AsyncClient, group: ConversationId) -> None:
    id_ = await say(as_ann, "hi", "say-1")

    page = (await as_ann.get("log", params={"after": 1, "limit": 1})).json()
    rest = (await as_ann.get("log", params={"after": page["next_after"]})).json()

    assert {**page, "entries": []} == {
        "conversation_id": str(group), "epoch": "first", "head": 3, "entries": [], "next_after": 2,
    }  # fmt: skip
    assert [entry["kind"] for entry in page["entries"] + rest["entries"]] == ["member.joined", "message.created"]
    assert rest["entries"][0]["message"]["id"] == id_
    assert rest["next_after"] is None


async def test_a_cursor_of_another_history_is_answered_with_the_present_epoch(as_ann: httpx.AsyncClient) -> None:
    page = (await as_ann.get("log", params={"after": 1, "epoch": "restored"})).json()

    assert (page["epoch"], page["entries"], page["next_after"]) == ("first", [], None)


async def test_pages_of_messages_carry_a_cursor_and_their_snapshot(as_ann: httpx.AsyncClient) -> None:
    for n in range(3):
        await say(as_ann, f"text {n}", f"say-{n}")

    newest = (await as_ann.get("messages", params={"limit": 2})).json()
    older = (await as_ann.get("messages", params={"limit": 2, "before": newest["next"], "events": "true"})).json()

    assert list(newest) == ["items", "epoch", "head", "next"]
    assert (newest["head"], newest["epoch"], newest["next"]) == (5, "first", "4")
    assert [message["seq"] for message in newest["items"]] == [4, 5]
    assert [message["seq"] for message in older["items"]] == [3]
    assert [entry["kind"] for entry in older["events"]] == ["member.joined", "member.joined"]
    assert older["next"] is None


@pytest.mark.parametrize(
    "bounds", [{"before": "-1"}, {"after": "x"}, {"limit": "0"}, {"limit": "101"}, {"before": "1", "after": "1"}]
)
async def test_impossible_pages_are_refused(as_ann: httpx.AsyncClient, bounds: dict[str, str]) -> None:
    assert refusal(await as_ann.get("messages", params=bounds)) == (400, "bad_payload")


async def test_editing_keeps_every_writing_and_deleting_none(
    as_ann: httpx.AsyncClient, as_bob: httpx.AsyncClient
) -> None:
    id_ = await say(as_ann, "one", "say-1")

    edited = await as_ann.patch(f"messages/{id_}", json={"text": "two", "client_id": "e1"})
    assert edited.json()["seq"] == 4
    edits = (await as_bob.get(f"messages/{id_}/edits")).json()
    assert ([edit["text"] for edit in edits["items"]], edits["next"]) == (["one", "two"], None)
    assert list(edits["items"][0]) == ["seq", "by", "at", "text"]
    assert refusal(await as_bob.patch(f"messages/{id_}", json={"text": "three"})) == (403, "role_required")

    assert (await as_ann.delete(f"messages/{id_}", params={"client_id": "d1"})).json()["seq"] == 5
    assert (await as_ann.delete(f"messages/{id_}", params={"client_id": "d1"})).json()["duplicate"] is True
    assert refusal(await as_bob.get(f"messages/{id_}/edits")) == (410, "message_deleted")
    [message] = (await as_bob.get("messages")).json()["items"]
    assert (message["text"], message["deleted"]) == (None, True)


@pytest.mark.parametrize("emoji", ["👍", "👩‍👩‍👧", "#️⃣", "?", "%41"])
async def test_reactions_come_percent_encoded(as_ann: httpx.AsyncClient, emoji: str) -> None:
    """Whatever it is made of, it is one part of the path."""
    id_ = await say(as_ann, "hi", "say-1")
    path = f"messages/{id_}/reactions/{quote(emoji, safe='')}"

    answer = await as_ann.put(path)

    assert answer.json()["seq"] == 4
    [message] = (await as_ann.get("messages")).json()["items"]
    assert [reaction["emoji"] for reaction in message["reactions"]] == [emoji]
    assert (await as_ann.delete(path)).json()["seq"] == 5
    assert (await as_ann.get("messages")).json()["items"][0]["reactions"] == []


@pytest.mark.parametrize("emoji", ["%20", "a%20b", "%0A", "%C2%A0", "x" * 65, "%00", "%FF", "%ED%A0%80"])
async def test_what_is_no_emoji_is_refused(as_ann: httpx.AsyncClient, emoji: str) -> None:
    id_ = await say(as_ann, "hi", "say-1")

    assert refusal(await as_ann.put(f"messages/{id_}/reactions/{emoji}")) == (400, "bad_payload")


async def test_pins(as_ann: httpx.AsyncClient, as_bob: httpx.AsyncClient) -> None:
    one, two = await say(as_ann, "one", "say-1"), await say(as_ann, "two", "say-2")

    for id_ in (one, two):
        assert (await as_bob.put(f"pins/{id_}")).status_code == 200
    pins = (await as_ann.get("pins")).json()
    assert ([message["id"] for message in pins["items"]], pins["next"]) == ([two, one], None)

    await as_ann.delete(f"pins/{two}")
    assert [message["id"] for message in (await as_ann.get("pins")).json()["items"]] == [one]


async def test_reading_and_receipts(as_ann: httpx.AsyncClient, as_bob: httpx.AsyncClient, bob: Actor) -> None:
    id_ = await say(as_ann, "one", "say-1")
    await say(as_ann, "two", "say-2")

    delivered = await as_bob.put("read", json={"seq": 0, "delivered_seq": 3})
    assert delivered.json() == {"read_seq": 2, "delivered_seq": 3, "unread": 2}
    receipts = (await as_ann.get(f"messages/{id_}/receipts")).json()
    assert receipts == {"delivered": [{"user_id": str(bob.user_id)}], "read": []}

    assert (await as_bob.put("read", json={"seq": 3})).json() == {"read_seq": 3, "delivered_seq": 3, "unread": 1}
    assert (await as_bob.put("read", json={"seq": 1})).json()["read_seq"] == 3
    receipts = (await as_ann.get(f"messages/{id_}/receipts")).json()
    assert receipts["read"] == [{"user_id": str(bob.user_id)}]
    assert refusal(await as_bob.put("read", json={"seq": "3"})) == (400, "bad_payload")


async def test_unknown_messages(as_ann: httpx.AsyncClient) -> None:
    for id_ in ("999", "x", "0"):
        assert refusal(await as_ann.get(f"messages/{id_}/edits")) == (404, "unknown_message")
        assert refusal(await as_ann.delete(f"messages/{id_}")) == (404, "unknown_message")
        assert refusal(await as_ann.put(f"pins/{id_}")) == (404, "unknown_message")


async def test_outsiders_get_nothing_and_change_nothing(
    server: TalkServer, as_ann: httpx.AsyncClient, group: ConversationId
) -> None:
    """Every route of a private conversation answers an outsider as if it were not there."""
    id_ = await say(as_ann, "secret", "say-1")
    head = (await as_ann.get("log")).json()["head"]
    outsider = await server.world.account("mallory")
    tried = [
        ("GET", "log"), ("GET", "messages"), ("GET", "pins"), ("GET", "members"), ("GET", f"messages/{id_}/edits"),
        ("GET", f"messages/{id_}/receipts"), ("DELETE", f"messages/{id_}"), ("PUT", f"pins/{id_}"),
        ("DELETE", f"pins/{id_}"), ("PUT", f"messages/{id_}/reactions/x"), ("DELETE", f"messages/{id_}/reactions/x"),
        ("DELETE", f"members/{outsider.user_id}"), ("POST", "join"), ("POST", "leave"),
    ]  # fmt: skip
    bodies = [
        ("POST", "messages", {"client_id": "x", "text": "hi"}),
        ("PATCH", f"messages/{id_}", {"text": "hi"}),
        ("PUT", "read", {"seq": 1}),
        ("POST", "members", {"user_ids": [str(outsider.user_id)]}),
        ("PATCH", f"members/{outsider.user_id}", {"role": "owner"}),
    ]
    async with server.client(outsider) as client:
        client.base_url = client.base_url.join(f"conversations/{group}/")
        for method, path in tried:
            assert refusal(await client.request(method, path)) == (404, "unknown_conversation"), (method, path)
        for method, path, body in bodies:
            assert refusal(await client.request(method, path, json=body)) == (404, "unknown_conversation"), (
                method,
                path,
            )

    assert (await as_ann.get("log")).json()["head"] == head
