"""Conversations, members and rooms over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

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
async def as_ann(server: TalkServer, ann: Actor) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client(ann) as client:
        yield client


@pytest.fixture
async def as_bob(server: TalkServer, bob: Actor) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client(bob) as client:
        yield client


@pytest.fixture
async def group(server: TalkServer, ann: Actor, bob: Actor) -> ConversationId:
    return await server.world.group(ann, bob)


async def items(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def test_making_a_room_twice_makes_one(as_ann: httpx.AsyncClient) -> None:
    """201 with the conversation, then 200 with the same."""
    body = {"client_id": "make-1", "kind": "room", "name": "tea", "title": "Tea"}

    first = await as_ann.post("/conversations", json=body)
    again = await as_ann.post("/conversations", json=body)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json().items() >= {
        "kind": "room", "name": "tea", "title": "Tea", "join_policy": "open", "role": "owner", "member_count": 1,
        "head": 1, "epoch": "first", "unread": 0, "peer": None, "last_message": None, "closed": False,
    }.items()  # fmt: skip


async def test_a_direct_is_there_for_both(
    as_ann: httpx.AsyncClient, as_bob: httpx.AsyncClient, ann: Actor, bob: Actor
) -> None:
    made = await as_ann.post("/conversations", json={"client_id": "a", "kind": "direct", "user_id": str(bob.user_id)})
    found = await as_bob.post("/conversations", json={"client_id": "b", "kind": "direct", "user_id": str(ann.user_id)})

    assert (made.status_code, found.status_code) == (201, 200)
    assert made.json()["id"] == found.json()["id"]
    assert (made.json()["peer"]["username"], found.json()["peer"]["username"]) == ("bob", "ann")


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "room", "name": "tea"},
        {"client_id": "a b", "kind": "room", "name": "tea"},
        {"client_id": "a", "kind": "club", "name": "tea"},
        {"client_id": "a", "kind": "room"},
        {"client_id": "a", "kind": "room", "name": "tea/milk"},
        {"client_id": "a", "kind": "room", "name": "tea", "colour": "green"},
        {"client_id": "a", "kind": "room", "name": 5},
        {"client_id": "a", "kind": "group", "member_ids": [1]},
        {"client_id": "a", "kind": "group", "member_ids": ["1.5"]},
        {"client_id": "a", "kind": "group", "member_ids": ["9999999999999999999"]},
        {"client_id": "a", "kind": "group", "member_ids": [str(n) for n in range(1, 202)]},
        {"client_id": "a", "kind": "direct"},
        {"client_id": "a", "kind": "direct", "user_id": "1", "join_policy": "open"},
        [],
    ],
)
async def test_what_is_not_of_the_documented_shape_is_refused(as_ann: httpx.AsyncClient, body: object) -> None:
    assert refusal(await as_ann.post("/conversations", json=body)) == (400, "bad_payload")


async def test_unknown_members_are_named(as_ann: httpx.AsyncClient) -> None:
    answer = await as_ann.post("/conversations", json={"client_id": "a", "kind": "group", "member_ids": ["777"]})

    assert refusal(answer) == (404, "unknown_user")
    assert "777" in answer.json()["detail"]


async def test_the_list_is_paged_by_its_own_cursor(as_ann: httpx.AsyncClient, server: TalkServer, ann: Actor) -> None:
    for _ in range(4):
        await server.world.group(ann)

    whole = await items(as_ann, "/conversations")
    page = (await as_ann.get("/conversations", params={"limit": 3})).json()
    rest = (await as_ann.get("/conversations", params={"limit": 3, "after": page["next"]})).json()

    assert page["items"] + rest["items"] == whole
    assert (len(whole), rest["next"]) == (5, None)


@pytest.mark.parametrize("after", ["", "1", "1.", ".1", "1.2.3", "a.b", "1.9999999999999999999", "--1.2", "１.２"])
async def test_a_cursor_of_something_else_is_refused(as_ann: httpx.AsyncClient, after: str) -> None:
    assert refusal(await as_ann.get("/conversations", params={"after": after})) == (400, "bad_payload")


@pytest.mark.parametrize("limit", ["0", "201", "x"])
async def test_pages_have_a_largest_size(as_ann: httpx.AsyncClient, limit: str) -> None:
    for path in ("/conversations", "/rooms"):
        assert refusal(await as_ann.get(path, params={"limit": limit})) == (400, "bad_payload")


@pytest.mark.parametrize("id_", ["0", "-1", "x", "1.0", "99999999999999999999", "１"])
async def test_an_id_that_cannot_be_one_names_nothing(as_ann: httpx.AsyncClient, id_: str) -> None:
    assert refusal(await as_ann.get(f"/conversations/{id_}")) == (404, "unknown_conversation")


async def test_strangers_are_told_as_little_as_possible(
    server: TalkServer, as_ann: httpx.AsyncClient, as_bob: httpx.AsyncClient, ann: Actor
) -> None:
    mine, room = await server.world.group(ann), await server.world.room(ann, "tea")

    assert refusal(await as_bob.get(f"/conversations/{mine}")) == (404, "unknown_conversation")
    assert refusal(await as_bob.get(f"/conversations/{room}")) == (403, "not_a_member")
    assert (await as_ann.get(f"/conversations/{mine}")).json()["id"] == str(mine)


async def test_every_route_asks_who_is_calling(server: TalkServer) -> None:
    """A route without a login would have to be added here by hand."""
    async with server.client() as nobody:
        paths = (await nobody.get("/openapi.json")).json()["paths"]
        asked = [
            (method, path)
            for path, operations in paths.items()
            for method in operations
            if path.startswith(("/api/v1/conversations", "/api/v1/rooms"))
        ]
        assert len(asked) == 29
        for method, path in asked:
            security = paths[path][method].get("security")
            assert security, f"{method} {path} takes no login"


async def test_joining_and_leaving_an_open_room(server: TalkServer, as_bob: httpx.AsyncClient, ann: Actor) -> None:
    room = await server.world.room(ann, "tea")

    joined = await as_bob.post(f"/conversations/{room}/join", json={"client_id": "in"})
    again = await as_bob.post(f"/conversations/{room}/join", json={"client_id": "in"})
    left = await as_bob.post(f"/conversations/{room}/leave")

    assert joined.json() == {"conversation_id": str(room), "seq": 2, "at": joined.json()["at"], "duplicate": False}
    assert again.json() == {**joined.json(), "duplicate": True}
    assert (left.status_code, left.json()["seq"]) == (200, 3)
    assert refusal(await as_bob.get(f"/conversations/{room}")) == (403, "not_a_member")


async def test_adding_several_is_one_entry_each_and_repeats_harmlessly(
    server: TalkServer, as_ann: httpx.AsyncClient, ann: Actor
) -> None:
    group = await server.world.group(ann)
    ids = [str((await server.world.account(f"user{n}")).user_id) for n in range(3)]
    body = {"user_ids": ids, "client_id": "add-1"}

    added = (await as_ann.post(f"/conversations/{group}/members", json=body)).json()
    again = (await as_ann.post(f"/conversations/{group}/members", json=body)).json()

    assert ([ack["seq"] for ack in added["items"]], added["next"]) == ([2, 3, 4], None)
    assert [(ack["seq"], ack["duplicate"]) for ack in again["items"]] == [(2, True), (3, True), (4, True)]
    assert [row["user"]["id"] for row in await items(as_ann, f"/conversations/{group}/members")] == [
        str(ann.user_id),
        *ids,
    ]


async def test_members_are_paged_by_id(server: TalkServer, as_ann: httpx.AsyncClient, group: ConversationId) -> None:
    first = (await as_ann.get(f"/conversations/{group}/members", params={"limit": 1})).json()
    rest = (await as_ann.get(f"/conversations/{group}/members", params={"limit": 1, "after": first["next"]})).json()

    [one], [other] = first["items"], rest["items"]
    assert (one["role"], other["role"], rest["next"]) == ("owner", "member", None)
    assert list(one) == ["user", "role", "joined_at"]


async def test_handing_over_and_removing(
    server: TalkServer,
    as_ann: httpx.AsyncClient,
    as_bob: httpx.AsyncClient,
    ann: Actor,
    bob: Actor,
    group: ConversationId,
) -> None:
    path = f"/conversations/{group}/members"

    handed = await as_ann.patch(f"{path}/{bob.user_id}", json={"role": "owner"})
    removed = await as_bob.delete(f"{path}/{ann.user_id}", params={"client_id": "out"})

    assert (handed.json()["seq"], removed.json()["seq"]) == (3, 5)
    assert [(row["user"]["username"], row["role"]) for row in await items(as_bob, path)] == [("bob", "owner")]
    assert refusal(await as_bob.delete(f"{path}/999")) == (404, "unknown_user")
    assert refusal(await as_bob.delete(f"{path}/x")) == (404, "unknown_user")


async def test_renaming_and_closing(
    as_ann: httpx.AsyncClient, as_bob: httpx.AsyncClient, group: ConversationId
) -> None:
    renamed = await as_ann.patch(f"/conversations/{group}", json={"title": "We", "client_id": "t1"})
    assert (renamed.status_code, renamed.json()["seq"]) == (200, 3)
    assert (await as_bob.get(f"/conversations/{group}")).json()["title"] == "We"
    assert refusal(await as_bob.patch(f"/conversations/{group}", json={"title": "I"})) == (403, "role_required")
    assert refusal(await as_ann.patch(f"/conversations/{group}", json={})) == (400, "bad_payload")

    assert refusal(await as_bob.delete(f"/conversations/{group}")) == (403, "role_required")
    assert (await as_ann.delete(f"/conversations/{group}")).json()["seq"] == 4
    assert (await as_bob.get(f"/conversations/{group}")).json()["closed"] is True


async def test_the_directory_finds_rooms_to_join(server: TalkServer, as_bob: httpx.AsyncClient, ann: Actor) -> None:
    for name in ("tea", "team", "milk"):
        await server.world.room(ann, name)

    page = (await as_bob.get("/rooms", params={"q": "te", "limit": 1})).json()
    rest = (await as_bob.get("/rooms", params={"q": "te", "limit": 1, "after": page["next"]})).json()

    [tea], [team] = page["items"], rest["items"]
    assert list(tea) == ["id", "name", "title", "member_count", "joined"]
    assert (tea["name"], tea["joined"], team["name"], rest["next"]) == ("tea", False, "team", None)
