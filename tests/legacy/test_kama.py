"""The kama dialect: who is let in, and what its clients hear of each other."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from tests.legacy.client import Account, Client, Doors
from tests.legacy.conftest import OpenDoors
from tests.legacy.numbered import Careful, bearer, direct, kama, ready, said

from parley.dialects.kama import BUSY, LOGGED_OUT, WELCOME

NO_CLIENT_ID = '{"code":400,"msg":"clientId获取失败","message":"clientId获取失败","data":null}'.encode()
AT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture
async def ann(doors: Doors) -> Account:
    return await doors.account("ann")


@pytest.fixture
async def bob(doors: Doors, ann: Account) -> Account:
    return await doors.account("bob")


@pytest.fixture
async def cat(doors: Doors, bob: Account) -> Account:
    return await doors.account("cat")


# Coming in


async def test_the_first_frame_is_the_welcome(doors: Doors, ann: Account) -> None:
    """At every path, with either token, in the query or a header; and no other frame comes by itself."""
    for token in (ann.legacy, ann.access):
        for path in ("/ws", "/wss", "/ws/kama"):
            client = await doors.connect(f"{path}?client_id=U{ann.id}&token={token}")
            assert await client.raw() == WELCOME
            await client.silence()
    assert await (await doors.connect(f"/ws?client_id=U{ann.id}", bearer(ann.legacy))).raw() == WELCOME


async def test_without_a_client_id_there_is_no_upgrade(doors: Doors, ann: Account) -> None:
    """HTTP 200 and the body these clients know, to the byte."""
    for path in (
        "/ws?client_id=",
        f"/ws?client_id=&token={ann.legacy}",
        "/wss",
        "/ws/kama",
        f"/wss?token={ann.legacy}",
    ):
        refusal = await doors.refused(path)
        assert (refusal.status, refusal.body) == (200, NO_CLIENT_ID), path


async def test_the_token_must_be_that_users(doors: Doors, ann: Account, bob: Account) -> None:
    """A client id alone is worth nothing, and odd ones are refused in peace."""
    refused = [f"client_id=U{ann.id}", f"client_id=U{ann.id}&token=x", f"client_id=U{ann.id}&token={bob.legacy}"]
    odd = [ann.id, f"G{ann.id}", "U", "U-1", "U%D9%A1", "U" + "9" * 30, "U" + "9" * 5000, f"U{ann.id}%00"]
    refused += [f"client_id={id_}&token={ann.legacy}" for id_ in odd]
    for query in refused:
        assert (await doors.refused(f"/ws?{query}")).status == 401, query


async def test_a_client_id_alone_is_believed_where_a_setting_says_so(opening: OpenDoors) -> None:
    """For local requests only: a proxied one is none. A token that is brought must still be right."""
    async with opening(compat={"kama": {"trust_client_id": True}}) as doors:
        ann, bob = await doors.account("ann"), await doors.account("bob")
        path = f"/ws?client_id=U{ann.id}"
        assert await (await doors.connect(path)).raw() == WELCOME
        for refused in (path + "&token=x", path + f"&token={bob.legacy}", "/ws?client_id=U999999", "/ws?client_id=Ux"):
            assert (await doors.refused(refused)).status == 401, refused
        for id_ in ("U" + "9" * 30, "U" + "9" * 5000):
            assert (await doors.refused(f"/ws?client_id={id_}")).status == 401, id_
        assert (await doors.refused(path, {"X-Forwarded-For": "203.0.113.9"})).status == 401


# Messages


def as_heard(sender: Account, to: str, content: str, type_: int = 1) -> str:
    return (
        rf'\{{"send_id":"U{sender.id}","send_name":"{sender.name}","send_avatar":"","receive_id":"{to}","type":{type_},'
        rf'"content":"{content}","url":"","file_type":"","file_name":"","file_size":"","created_at":"{AT}"\}}'
    )


async def test_a_message_is_heard_by_both(doors: Doors, ann: Account, bob: Account, cat: Account) -> None:
    """The receiver and the sender, to the byte but for the time; nobody else. Also the first one of two strangers."""
    hers, his, others = [await kama(doors, who) for who in (ann, bob, cat)]

    for content in ("你好", "again"):
        await hers.send(said(ann, f"U{bob.id}", content))
        raw = [await hers.raw(), await his.raw()]
        assert raw[0] == raw[1]
        assert re.fullmatch(as_heard(ann, f"U{bob.id}", content), str(raw[0])), raw
    await others.silence()


async def test_a_group_is_heard_by_its_members(doors: Doors, ann: Account, bob: Account, cat: Account) -> None:
    talk = await doors.live.group(ann.person, bob.person)
    hers, his, others = [await kama(doors, who) for who in (ann, bob, cat)]

    await hers.send(said(ann, f"G{talk}", "all"))

    raw = [await hers.raw(), await his.raw()]
    assert raw[0] == raw[1]
    assert re.fullmatch(as_heard(ann, f"G{talk}", "all"), str(raw[0]))
    await others.silence()


async def test_a_variant_numbers_text_zero(opening: OpenDoors) -> None:
    async with opening(compat={"kama": {"text_type": 0}}) as doors:
        ann = await doors.account("ann")
        hers = await kama(doors, ann)
        await hers.send(said(ann, f"U{ann.id}", "zero", type=0))
        assert re.fullmatch(as_heard(ann, f"U{ann.id}", "zero", 0), str(await hers.raw()))
        await hers.send(said(ann, f"U{ann.id}", "one"))
        assert await hers.raw() == "type must be 0, 2 or 3."


async def test_files_come_as_they_went(doors: Doors, ann: Account, bob: Account) -> None:
    """Every field of it; a direct client is shown its link."""
    hers, his, native = await kama(doors, ann), await kama(doors, bob), await direct(doors, bob)
    file = {
        "url": "https://example.org/a.pdf",
        "file_name": "a.pdf",
        "file_type": "application/pdf",
        "file_size": "9KB",
    }

    await hers.send(said(ann, f"U{bob.id}", "", type=2, **file))

    frame = await his.one()
    assert await hers.one() == frame
    assert {field: frame[field] for field in file} == file
    assert (frame["type"], frame["content"]) == (2, "")
    assert (await native.one())["content"] == file["url"]


async def test_the_lobby_is_not_heard(doors: Doors, ann: Account, bob: Account) -> None:
    """Direct clients hear it as `all`; these do not."""
    hers, his = await kama(doors, ann), await direct(doors, bob)

    await his.send({"conversationId": "", "chatType": 1, "content": "x", "contentType": 1})

    assert (await his.one())["conversationId"] == "all"
    await hers.silence()


async def test_what_one_writes_elsewhere_comes_from_oneself(doors: Doors, ann: Account, bob: Account) -> None:
    """Every socket of a user is alike; there may be many."""
    one, other, hers = await kama(doors, ann), await kama(doors, ann), await direct(doors, ann)

    await hers.send({"recvId": bob.id, "chatType": 2, "content": "x", "contentType": 1})

    for client in (one, other):
        frame = await client.one()
        assert (frame["send_id"], frame["receive_id"], frame["content"]) == (f"U{ann.id}", f"U{bob.id}", "x")


async def test_a_group_made_meanwhile_is_heard(doors: Doors, ann: Account, bob: Account) -> None:
    """From its first message on, and no frame of another kind."""
    hers = await kama(doors, ann)
    talk = await doors.live.group(bob.person, ann.person)
    await doors.live.say(bob.person, talk, "first")

    assert (await hers.one())["content"] == "first"
    await doors.live.remove(bob.person, talk, ann.person)
    await doors.live.say(bob.person, talk, "second")
    await hers.silence()


async def test_a_forged_sender_is_refused_to_that_client_only(doors: Doors, ann: Account, bob: Account) -> None:
    hers, his = await kama(doors, ann), await kama(doors, bob)

    for forged in (f"U{bob.id}", "U999999", "Ux", "x" * 64, ann.id):
        await hers.send(said(ann, f"U{bob.id}", "x", send_id=forged))
        assert await hers.raw() == "send_id is not your own."
    await hers.send(said(ann, f"U{bob.id}", "true"))
    assert (await his.one())["content"] == "true"


# Too much at once


async def test_too_much_is_told_and_what_was_taken_is_kept(opening: OpenDoors) -> None:
    """As many answers as messages: each is echoed, or refused with the words that these clients know."""
    async with opening(limits={"messages_per_second": 5, "burst": 20}) as doors:
        ann, bob = await doors.account("ann"), await doors.account("bob")
        hers, his = await kama(doors, ann), await kama(doors, bob)
        for number in range(35):
            await hers.send(said(ann, f"U{bob.id}", str(number)))
        answers = await hers.got(35)

        heard = [answer["content"] for answer in answers if answer != BUSY]
        assert BUSY in answers
        assert len(heard) >= 15
        assert [frame["content"] for frame in await his.got(len(heard))] == heard
        assert heard == sorted(heard, key=int)
        await his.silence()


async def test_one_sender_keeps_their_order(doors: Doors, ann: Account, bob: Account, cat: Account) -> None:
    """Also where strangers write for the first time, and many at once."""
    people = [ann, bob, cat]
    clients = {who.id: await kama(doors, who) for who in people}
    talk = await doors.live.group(*(who.person for who in people))

    async def write(who: Account) -> None:
        for number in range(60):
            await clients[who.id].send(said(who, f"G{talk}" if number % 2 else f"U{cat.id}", str(number)))

    await asyncio.gather(write(ann), write(bob))
    frames = await clients[cat.id].got(120)
    for who in (ann, bob):
        for to in (f"G{talk}", f"U{cat.id}"):
            mine = [int(f["content"]) for f in frames if (f["send_id"], f["receive_id"]) == (f"U{who.id}", to)]
            assert mine == sorted(mine)
            assert len(mine) == 30


# Logging out


@pytest.mark.parametrize("path", ["/ws/logout", "/user/wsLogout"])
async def test_logging_out_says_so_and_closes(doors: Doors, ann: Account, path: str) -> None:
    """The user's kama sockets, all of them, and no others."""
    clients, other = [await kama(doors, ann) for _ in range(2)], await direct(doors, ann)

    answer = await doors.post(path, {"owner_id": f"U{ann.id}"}, bearer(ann.legacy))

    assert (answer.status_code, answer.text) == (200, '{"code":0,"msg":"success","data":null}')
    for client in clients:
        assert await client.raw() == LOGGED_OUT
        assert await client.closed() == 1000
    await other.silence()


async def test_nobody_logs_somebody_else_out(doors: Doors, ann: Account, bob: Account) -> None:
    hers = await kama(doors, ann)

    wanted = [({}, 401), (bearer("x"), 401), (bearer(bob.legacy), 403)]
    for headers, status in wanted:
        answer = await doors.post("/ws/logout", {"owner_id": f"U{ann.id}"}, headers)
        assert (answer.status_code, answer.json()["code"]) == (status, status)
        assert answer.json()["msg"] == answer.json()["message"]
    for owner in ("", "U", ann.id, "Ux", "U" + "9" * 30):
        assert (await doors.post("/ws/logout", {"owner_id": owner}, bearer(ann.legacy))).status_code == 400
    await hers.silence()


async def test_where_client_ids_are_believed_so_is_a_logout(opening: OpenDoors) -> None:
    async with opening(compat={"kama": {"trust_client_id": True}}) as doors:
        ann = await doors.account("ann")
        hers = await kama(doors, ann)
        assert (await doors.post("/ws/logout", {"owner_id": f"U{ann.id}"}, bearer("x"))).status_code == 401
        forwarded = {"X-Forwarded-For": "203.0.113.9"}
        assert (await doors.post("/ws/logout", {"owner_id": f"U{ann.id}"}, forwarded)).status_code == 401
        await hers.silence()
        assert (await doors.post("/ws/logout", {"owner_id": f"U{ann.id}"})).json()["code"] == 0
        assert await hers.raw() == LOGGED_OUT


# Receipts


async def receipts(doors: Doors, writer: Account, talk: str) -> dict[str, list[str]]:
    page = (await doors.get(f"/api/v1/conversations/{talk}/messages", bearer(writer.access))).json()
    message = page["items"][-1]
    path = f"/api/v1/conversations/{talk}/messages/{message['id']}/receipts"
    found = (await doors.get(path, bearer(writer.access))).json()
    return {what: [one["user_id"] for one in found[what]] for what in ("delivered", "read")}


@pytest.mark.parametrize("dialect", ["direct", "kama"])
async def test_unsent_sent_and_read_are_told_by_the_marks(opening: OpenDoors, dialect: str) -> None:
    """A pong proves delivery, to these clients too; `read` comes by the route. Natives are told of both."""
    async with opening(heartbeat={"ping_s": 0.3, "silence_s": 30}) as doors:
        ann, bob = await doors.account("ann"), await doors.account("bob")
        talk = await doors.live.group(ann.person, bob.person)
        native = await doors.live.connect(ann.person)
        his = await (Careful.direct if dialect == "direct" else Careful.kama)(doors, bob)
        await his.pong((await his.until_ping())[1])
        await native.heard()

        await doors.live.say(ann.person, talk, "hello")
        contents, ping = await his.until_ping()
        while "hello" not in contents:
            contents, ping = await his.until_ping()
        assert await receipts(doors, ann, talk) == {"delivered": [], "read": []}
        await his.pong(ping)

        frame = await native.expect("read", skip=("log",))
        assert (frame["payload"]["user_id"], frame["payload"]["delivered_seq"]) == (bob.id, 3)
        assert frame["payload"]["read_seq"] < 3
        assert await receipts(doors, ann, talk) == {"delivered": [bob.id], "read": []}

        answer = await doors.post("/v1/chat/read", {"conversationId": talk}, bearer(bob.legacy))
        assert answer.json()["code"] == 200
        assert (await native.expect("read"))["payload"]["read_seq"] == 3
        assert await receipts(doors, ann, talk) == {"delivered": [bob.id], "read": [bob.id]}


async def test_a_welcomed_client_that_is_plain_hears(doors: Doors, ann: Account) -> None:
    """What is sent before the greeting is over waits, and is not lost."""
    client: Client = await doors.connect(f"/ws?client_id=U{ann.id}&token={ann.legacy}")
    await client.send(json.dumps(said(ann, f"U{ann.id}", "early")))
    assert await client.raw() == WELCOME
    assert (await client.one())["content"] == "early"
    await ready(client)
