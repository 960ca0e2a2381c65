"""All dialects at once: one conversation, whoever speaks and however."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests.legacy.client import Account, Client, Doors
from tests.legacy.test_lobby import CHAT

from parley.protocol.types import ConversationId
from parley.testing import RawSocket


@dataclass
class Everybody:
    """One client of each dialect, each of an account of its own, and a native one."""

    doors: Doors
    names: dict[str, Account]
    sockets: dict[str, Client]
    native: RawSocket


def kama_frame(account: Account, to: str, content: str) -> dict[str, Any]:
    return {
        "session_id": "s", "type": 1, "content": content, "url": "", "send_id": f"U{account.id}",
        "send_name": account.name, "send_avatar": "", "receive_id": to, "file_size": "", "file_name": "",
        "file_type": "", "av_data": "",
    }  # fmt: skip


def direct_frame(conversation: str, content: str) -> dict[str, Any]:
    return {
        "conversationId": conversation, "recvId": "", "sendId": "", "chatType": 1, "content": content, "contentType": 1
    }  # fmt: skip


async def said(socket: RawSocket, count: int = 1) -> list[tuple[str, str]]:
    """(conversation, text) of the next messages that a native socket hears."""
    found: list[tuple[str, str]] = []
    while len(found) < count:
        page = (await socket.expect("log"))["payload"]
        for entry in page["entries"]:
            text = entry["message"]["text"] if entry["kind"] == "message.created" else None
            if text:
                found.append((page["conversation_id"], text))
    return found


@pytest.fixture
async def all_in_lobby(doors: Doors) -> Everybody:
    """A room client called to the room `lobby`, a lobby client, a direct one that knows it as `all`, and a native."""
    names = {name: await doors.account(name) for name in ("nat", "lob", "rob", "dir")}
    native = await doors.live.connect(names["nat"].person)
    sockets = {
        "lob": await doors.connect(f"/ws/lobby?token={names['lob'].legacy}"),
        "rob": await doors.connect(f"/ws?room=lobby&token={names['rob'].legacy}"),
        "dir": await doors.connect(f"/ws?token={names['dir'].legacy}"),
    }
    await settled(sockets)
    return Everybody(doors, names, sockets, native)


async def settled(sockets: dict[str, Client]) -> None:
    """Until each has been greeted: what it sends first is answered after that."""
    for name, socket in sockets.items():
        await socket.send({"lob": "ping", "rob": {"type": "ping"}, "dir": {"type": "ping"}}.get(name, {"type": "ping"}))
        while "pong" not in str(await socket.one()):
            pass
    for socket in sockets.values():
        await socket.heard()


async def test_each_hears_each_in_the_lobby(all_in_lobby: Everybody) -> None:
    """Whoever speaks, every dialect shows it in its own shape, once."""
    here = all_in_lobby
    lobby = str(await here.doors.live.parley.legacy.lobby())
    await here.sockets["lob"].send({"message": CHAT | {"message": "from lob"}})
    await here_all(here, lobby, "from lob", "lob")
    await here.sockets["rob"].send({"type": "message", "payload": {"content": "from rob"}})
    await here_all(here, lobby, "from rob", "rob")
    await here.sockets["dir"].send(direct_frame("all", "from dir"))
    await here_all(here, lobby, "from dir", "dir")
    await here.doors.live.say(here.names["nat"].person, lobby, "from nat")
    await here_all(here, lobby, "from nat", "nat")


async def here_all(here: Everybody, lobby: str, text: str, by: str) -> None:
    writer = here.names[by]
    chat = (await here.sockets["lob"].one())["message"]
    assert chat["message"] == text
    assert (chat["userid"], chat["userphone"]) == (
        (CHAT["userid"], CHAT["userphone"]) if by == "lob" else (writer.id, writer.name)
    )
    room = (await here.sockets["rob"].one())["payload"]
    assert (room["content"], room["user_id"], room["username"]) == (text, int(writer.id), writer.name)
    direct = await here.sockets["dir"].one()
    assert (direct["content"], direct["sendId"], direct["conversationId"]) == (text, writer.id, "all")
    assert await said(here.native) == [(lobby, text)]
    for socket in here.sockets.values():
        await socket.silence()


async def test_five_dialects_in_an_open_room(doors: Doors) -> None:
    """Room, direct, kama and native members of one room; a frame is made once for each dialect, not for each member."""
    names = {name: await doors.account(name) for name in ("nat", "rob", "dir", "kam", "nat2", "rob2", "dir2", "kam2")}
    room = await doors.live.room(names["nat"].person, "general")
    for name, account in names.items():
        if name != "nat":
            await doors.live.add(names["nat"].person, room, account.person)
    natives = [await doors.live.connect(names[name].person) for name in ("nat", "nat2")]
    sockets: dict[str, Client] = {}
    for name in ("rob", "rob2"):
        sockets[name] = await doors.connect(f"/ws?room=general&token={names[name].legacy}")
        await sockets[name].got(2)
    for name in ("dir", "dir2"):
        sockets[name] = await doors.connect(f"/ws?token={names[name].legacy}")
        await sockets[name].send({"type": "ping"})
        assert await sockets[name].one() == {"type": "pong"}
    for name in ("kam", "kam2"):
        sockets[name] = await doors.connect(f"/ws?client_id=U{names[name].id}&token={names[name].legacy}")
        # Its own word comes back when it hears the room.
        await sockets[name].one()
        await sockets[name].send(kama_frame(names[name], f"G{room}", "warm"))
        while (await sockets[name].one())["content"] != "warm":
            pass
    for native in natives:
        await said(native, 2)
    for socket in sockets.values():
        await socket.heard()
    feed = doors.live.parley.hub.feeds[ConversationId(int(room))]
    before = feed.encodings

    for name, frame in (
        ("rob", {"type": "message", "payload": {"content": "from rob"}}),
        ("dir", direct_frame(room, "from dir")),
        ("kam", kama_frame(names["kam"], f"G{room}", "from kam")),
        ("nat", None),
    ):
        text = f"from {name}"
        if frame is None:
            await doors.live.say(names[name].person, room, text)
        else:
            await sockets[name].send(frame)
        for native in natives:
            assert await said(native) == [(room, text)]
        for other, socket in sockets.items():
            told = await socket.one()
            shown = told["payload"] if other.startswith("rob") else told
            assert shown["content"] == text
            number = shown.get("user_id") or shown.get("sendId") or shown["send_id"].removeprefix("U")
            assert str(number) == names[name].id
            await socket.silence()

    assert {codec.name for codec in feed.live} == {"native", "room", "direct", "kama"}
    assert feed.encodings - before == 4 * 4


async def test_lobby_encodings(all_in_lobby: Everybody) -> None:
    """Guests in numbers do not cost an encoding each, also where the first of them came at one moment."""
    import asyncio

    here = all_in_lobby
    lobby = await here.doors.live.parley.legacy.lobby()
    clients = await asyncio.gather(*(here.doors.connect("/ws") for _ in range(10)))
    await settled(dict.fromkeys(["lob"], clients[0]))
    for client in clients:
        await client.send("ping")
        while await client.one() != "pong":
            pass
    feed = here.doors.live.parley.hub.feeds[lobby]
    before = feed.encodings

    await here.doors.live.say(here.names["nat"].person, str(lobby), "once")

    assert feed.encodings - before == 4
    for client in clients:
        while (await client.one()).get("message", {}).get("message") != "once":
            pass


async def test_one_group_under_three_names(doors: Doors) -> None:
    """A native group, a direct group and a kama group are one conversation; its id is the same for all and for ever."""
    names = {name: await doors.account(name) for name in ("nat", "dir", "kam")}
    group = await doors.live.group(*(account.person for account in names.values()))
    native = await doors.live.connect(names["nat"].person)

    for attempt in ("first", "second"):
        direct = await doors.connect(f"/ws?token={names['dir'].legacy}")
        await direct.send({"type": "ping"})
        while await direct.one() != {"type": "pong"}:
            pass
        kama = await doors.connect(f"/ws?client_id=U{names['kam'].id}&token={names['kam'].legacy}")
        await kama.one()
        await kama.send(kama_frame(names["kam"], f"G{group}", f"{attempt} kam"))
        told = await direct.one()
        assert (told["conversationId"], told["sendId"], told["content"]) == (group, names["kam"].id, f"{attempt} kam")
        while (await kama.one())["content"] != f"{attempt} kam":
            pass
        await direct.send(direct_frame(group, f"{attempt} dir"))
        echo = await kama.one()
        assert (echo["receive_id"], echo["send_id"]) == (f"G{group}", f"U{names['dir'].id}")
        assert await said(native, 2) == [(group, f"{attempt} kam"), (group, f"{attempt} dir")]
        await kama.close()
        await direct.close()
