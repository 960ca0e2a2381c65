"""What is said on one node is heard on the other, in every dialect, once and in order."""

from __future__ import annotations

from tests.end_to_end.cluster.stage import Stage, hears, say, shows
from tests.legacy.test_across import direct_frame
from tests.legacy.test_lobby import CHAT

from parley.testing import uuid7


async def test_a_message_is_heard_on_the_other_node(stage: Stage) -> None:
    """Both ways, and each at the seq that its writer was told."""
    ann, bob = await stage.person("ann", stage.a), await stage.person("bob", stage.b)
    room, _ = await stage.room(ann, bob)
    hers, his = await stage.native(stage.a, ann), await stage.native(stage.b, bob)

    said = await say(hers, room, "from a")
    assert (await hears(his, room, "from a"))["seq"] == said["seq"]
    answered = await say(his, room, "from b")
    assert (await hears(hers, room, "from b"))["seq"] == answered["seq"] == said["seq"] + 1


async def test_messages_of_both_nodes_have_one_order(stage: Stage) -> None:
    """Written at once on both; each hears all, dense and in the same order."""
    ann, bob = await stage.person("ann", stage.a), await stage.person("bob", stage.b)
    room, _ = await stage.room(ann, bob)
    hers, his = await stage.native(stage.a, ann), await stage.native(stage.b, bob)
    for number in range(20):
        for socket in (hers, his):
            payload = {"conversation_id": room, "client_id": uuid7(), "kind": "text", "text": str(number)}
            await socket.send({"type": "message.send", "id": str(number), "payload": payload})

    orders = []
    for socket in (hers, his):
        entries: list[tuple[int, str]] = []
        while len(entries) < 40:
            frame = await socket.recv()
            if frame["type"] == "log":
                entries += [
                    (entry["seq"], entry["id"] if "id" in entry else entry["message"]["id"])
                    for entry in frame["payload"]["entries"]
                    if entry["kind"] == "message.created"
                ]
        orders.append(entries)
    assert orders[0] == orders[1]
    seqs = [seq for seq, _ in orders[0]]
    assert seqs == list(range(seqs[0], seqs[0] + 40))


async def test_every_dialect_is_heard_on_the_other_node(stage: Stage) -> None:
    """Room and native clients on one node, direct and kama clients on the other, in one room."""
    nat, rob, dir_, kam = [await stage.person(name) for name in ("nat", "rob", "dir", "kam")]
    room, name = await stage.room(nat, rob, dir_, kam)
    native = await stage.native(stage.a, nat)
    sockets = {
        "rob": await stage.legacy(stage.a, f"/ws?room={name}&token={rob.legacy}"),
        "dir": await stage.direct(stage.b, dir_),
        "kam": await stage.legacy(stage.b, f"/ws?client_id=U{kam.id}&token={kam.legacy}"),
    }
    await sockets["rob"].got(2)
    frames = {
        # First: who writes has been let in entirely, and hears from then on.
        "kam": kama_frame(kam.id, f"G{room}", "from kam"),
        "rob": {"type": "message", "payload": {"content": "from rob"}},
        "dir": direct_frame(room, "from dir"),
    }

    for by, frame in frames.items():
        await sockets[by].send(frame)
        await hears(native, room, f"from {by}")
        for socket in sockets.values():
            await shows(socket, f"from {by}")
    await say(native, room, "from nat")
    for socket in sockets.values():
        await shows(socket, "from nat")


def kama_frame(user: str, to: str, content: str) -> dict[str, object]:
    return {
        "session_id": "s", "type": 1, "content": content, "url": "", "send_id": f"U{user}", "send_name": "kam",
        "send_avatar": "", "receive_id": to, "file_size": "", "file_name": "", "file_type": "", "av_data": "",
    }  # fmt: skip


async def test_the_lobby_is_one_on_all_nodes(stage: Stage) -> None:
    """A lobby client on one node and a native one on the other."""
    nat = await stage.person("nat")
    native, welcome = await stage.login(stage.b, nat)
    lobby = welcome["lobby"]
    head = next(row["head"] for row in welcome["conversations"] if row["id"] == lobby)
    await native.acked("resume", {"epoch": welcome["epoch"], "cursors": {lobby: head}})
    lob = await stage.legacy(stage.a, "/ws")

    text = f"hello {nat.id}"
    await lob.send({"message": CHAT | {"message": text}})
    await hears(native, lobby, text)
    await say(native, lobby, f"and back {nat.id}")
    await shows(lob, f"and back {nat.id}")


async def test_a_client_resumes_from_the_other_node(stage: Stage) -> None:
    """Exactly what it missed, from whichever node."""
    ann, bob = await stage.person("ann", stage.a), await stage.person("bob", stage.b)
    room, _ = await stage.room(ann, bob)
    his = await stage.native(stage.a, bob)
    hers = await stage.native(stage.a, ann)
    first = await say(hers, room, "0")
    await hears(his, room, "0")
    await his.close()
    for number in range(1, 6):
        await say(hers, room, str(number))

    his, welcome = await stage.login(stage.b, bob)
    answer, events = await his.gather("resume", {"epoch": welcome["epoch"], "cursors": {room: first["seq"]}})

    assert answer["payload"]["live"] == {room: first["seq"] + 5}
    entries = [entry for frame in events if frame["type"] == "log" for entry in frame["payload"]["entries"]]
    assert [entry["seq"] for entry in entries] == list(range(first["seq"] + 1, first["seq"] + 6))
    assert [entry["message"]["text"] for entry in entries] == ["1", "2", "3", "4", "5"]


async def test_a_retry_on_the_other_node_gets_the_first_answer(stage: Stage) -> None:
    """And changes nothing."""
    ann, bob = await stage.person("ann"), await stage.person("bob")
    room, _ = await stage.room(ann, bob)
    here, there = await stage.native(stage.a, ann), await stage.native(stage.b, ann)
    client_id = uuid7()

    first = await say(here, room, "once", client_id)
    again = await say(there, room, "once", client_id)

    assert not first["duplicate"]
    assert again == first | {"duplicate": True}
    assert (await ann.account.get(f"/conversations/{room}"))["head"] == first["seq"]


async def test_a_new_conversation_comes_to_members_on_the_other_node(stage: Stage) -> None:
    """A room and a direct, without a reconnect, with what is said in them."""
    ann, bob = await stage.person("ann", stage.a), await stage.person("bob", stage.b)
    his = await stage.native(stage.b, bob)

    room, _ = await stage.room(ann, bob)
    added = await his.expect("conversation.added", skip=("log",))
    assert added["payload"]["conversation"]["id"] == room
    await his.acked("resume", {"epoch": None, "cursors": {}})
    hers = await stage.native(stage.a, ann)
    ack = await hers.acked(
        "message.send", {"to_user_id": bob.id, "client_id": uuid7(), "kind": "text", "text": "to you"}
    )
    await hears(his, ack["conversation_id"], "to you")


async def test_a_removed_member_hears_nothing_more_on_the_other_node(stage: Stage) -> None:
    ann, bob, eve = [await stage.person(name) for name in ("ann", "bob", "eve")]
    room, _ = await stage.room(ann, bob, eve)
    his, eves = await stage.native(stage.b, bob), await stage.native(stage.b, eve)

    await ann.account.delete(f"/conversations/{room}/members/{bob.id}?client_id={uuid7()}")
    hers = await stage.native(stage.a, ann)
    await say(hers, room, "without bob")

    await his.expect("conversation.removed", skip=("log",))
    await hears(eves, room, "without bob")
    frames = await his.heard()
    assert [frame for frame in frames if frame["type"] == "log"] == []
