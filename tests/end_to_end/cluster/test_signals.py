"""What is not history, between nodes: presence and typing go over Redis; read marks are in the store as well."""

from __future__ import annotations

import pytest
from tests.end_to_end.cluster.stage import Person, Stage, hears, say

from parley.testing import RawSocket

pytestmark = pytest.mark.over_redis


async def watch(socket: RawSocket, person: Person) -> bool:
    """Whether they are shown online now; changes are told from here on."""
    await socket.acked("presence.watch", {"user_ids": [person.id]})
    (row,) = (await socket.expect("presence", skip=("log",)))["payload"]["users"]
    return bool(row["online"])


async def test_presence_is_told_on_the_other_node(stage: Stage) -> None:
    ann, bob = await stage.person("ann", stage.a, fresh=True), await stage.person("bob", stage.b, fresh=True)
    await stage.room(ann, bob)
    hers = await stage.native(stage.a, ann)
    assert await watch(hers, bob) is False

    his = await stage.native(stage.b, bob)
    came = await hers.expect("presence", skip=("log",))
    assert [(it["user_id"], it["online"]) for it in came["payload"]["users"]] == [(bob.id, True)]
    await his.close()
    went = await hers.expect("presence", skip=("log",), within=15)
    assert [(it["user_id"], it["online"]) for it in went["payload"]["users"]] == [(bob.id, False)]


async def test_who_is_online_on_another_node_is_known_at_once(stage: Stage) -> None:
    ann, bob = await stage.person("ann", stage.a, fresh=True), await stage.person("bob", stage.b, fresh=True)
    await stage.room(ann, bob)
    await stage.native(stage.b, bob)
    hers = await stage.native(stage.a, ann)

    online = await watch(hers, bob)
    if not online:
        (row,) = (await hers.expect("presence", skip=("log",)))["payload"]["users"]
        online = row["online"]
    assert online


async def test_typing_is_told_on_the_other_node(stage: Stage) -> None:
    """To those who are heard to be there: a message first, so that both nodes surely hear the room."""
    ann, bob = await stage.person("ann", stage.a, fresh=True), await stage.person("bob", stage.b, fresh=True)
    room, _ = await stage.room(ann, bob)
    hers, his = await stage.native(stage.a, ann), await stage.native(stage.b, bob)
    await say(hers, room, "first")
    await hears(his, room, "first")

    await hers.acked("typing.set", {"conversation_id": room, "is_typing": True})

    told = await his.expect("typing", skip=("log", "read"))
    assert told["payload"] == {"conversation_id": room, "user_id": ann.id, "is_typing": True}


async def test_a_read_mark_is_told_on_the_other_node(stage: Stage) -> None:
    ann, bob = await stage.person("ann", stage.a, fresh=True), await stage.person("bob", stage.b, fresh=True)
    room, _ = await stage.room(ann, bob)
    hers, his = await stage.native(stage.a, ann), await stage.native(stage.b, bob)
    said = await say(hers, room, "first")
    await hears(his, room, "first")

    await his.acked("read.mark", {"conversation_id": room, "seq": said["seq"]})

    while (told := (await hers.expect("read", skip=("log",)))["payload"])["user_id"] != bob.id:
        pass
    assert told["read_seq"] == said["seq"]
    rows = await stage.on(stage.b, bob)
    assert (await rows.get(f"/conversations/{room}"))["unread"] == 0
