"""The lobby as its clients know it: chat frames, plain text, binary frames, who is there."""

from __future__ import annotations

import json
from typing import Any

from tests.gateway.live import until
from tests.legacy.client import Client, Doors
from tests.legacy.conftest import OpenDoors

from parley.protocol.bodies import read_created
from parley.protocol.types import EntryKind

CHAT = {
    "userid": "web-1712",
    "userphone": "网页-Ann",
    "message": "hello 😀",
    "time": "2024-01-01 12:00:00",
    "filelink": "",
}


async def come(doors: Doors, path: str = "/ws", **how: Any) -> tuple[Client, dict[str, str]]:
    """A client that has read who is there; and how it is shown itself."""
    client = await doors.connect(path, **how)
    while "online" not in (told := await client.one()) or not await _last(client):
        pass
    return client, told["online"]


async def _last(client: Client) -> bool:
    await client.barrier()
    return not len(client.socket.recv_messages.frames)


async def stored(doors: Doors) -> list[str | None]:
    """The texts in the lobby, oldest first."""
    lobby = await doors.live.parley.legacy.lobby()
    page = await doors.live.parley.legacy.entries_after(lobby, 0, None)
    assert page is not None
    return [read_created(entry.body).text for entry in page[0] if entry.kind is EntryKind.MESSAGE_CREATED]


async def test_ping_is_text(doors: Doors) -> None:
    """`ping` is answered by `pong`, to that client alone, and is no message."""
    ann, _ = await come(doors)
    bob, _ = await come(doors)
    await ann.heard()

    await ann.send("ping")

    assert await ann.raw() == "pong"
    await bob.silence()
    assert await stored(doors) == []


async def test_a_chat_frame_reaches_all_and_its_sender(doors: Doors) -> None:
    """It comes back byte for byte as these systems wrote it."""
    ann, _ = await come(doors)
    bob, _ = await come(doors)
    await ann.heard()

    await ann.send({"message": CHAT})

    exact = json.dumps({"message": CHAT}, ensure_ascii=False, separators=(",", ":"))
    assert await ann.raw() == exact
    assert await bob.raw() == exact
    assert await stored(doors) == ["hello 😀"]


async def test_optional_fields_are_kept(doors: Doors) -> None:
    """`email`, `username` and `image` come back where they were given."""
    ann, _ = await come(doors)
    chat = CHAT | {"email": "a@example.org", "username": "anna", "image": "/a.png"}

    await ann.send({"message": chat})

    assert await ann.one() == {"message": chat}


async def test_plain_text_is_relayed_as_it_came(doors: Doors) -> None:
    """Whatever is no JSON object is a message of that text."""
    ann, _ = await come(doors)
    bob, _ = await come(doors)
    await ann.heard()
    texts = ["hello there", "  spaces  ", "[1, 2]", '{"not": json', "42", "大家好"]

    for text in texts:
        await ann.send(text)

    assert [await bob.raw() for _ in texts] == texts
    assert [await ann.raw() for _ in texts] == texts
    assert await stored(doors) == texts


async def test_an_object_without_a_message_is_the_text_of_one(doors: Doors) -> None:
    """It is stored and relayed inside a chat frame, under the sender's own label."""
    ann, label = await come(doors)
    raw = '{"kind": "wave", "n": [1, 2]}'

    await ann.send(raw)

    told = (await ann.one())["message"]
    assert told["message"] == raw
    assert (told["userid"], told["userphone"]) == (label["userid"], label["userphone"])
    assert await stored(doors) == [raw]


async def test_binary_is_relayed_and_not_kept(doors: Doors) -> None:
    """Binary frames up to 64 KiB go to every lobby client as they came."""
    ann, _ = await come(doors)
    bob, _ = await come(doors)
    await ann.heard()
    blob = bytes(range(256)) * 256

    await ann.send(blob)

    assert await bob.raw() == blob
    assert await ann.raw() == blob
    assert await stored(doors) == []


async def test_binary_is_bounded_and_rated(opening: OpenDoors) -> None:
    """A larger frame is refused to its sender alone; past the rate they are dropped."""
    limits = {"frame_bytes": 200_000, "messages_per_second": 0.001, "burst": 5}
    async with opening(limits=limits) as doors:
        bob, _ = await come(doors)
        ann = await doors.connect()
        await bob.one()
        await ann.send(b"x" * 65_537)
        for number in range(6):
            await ann.send(bytes([number]))
        await ann.socket.pong()
        for number in range(4):
            assert await bob.raw() == bytes([number])
        await bob.silence()
        refusals = await _until_said(ann, "系统")
        assert refusals[-1]["message"]["userid"] == "system"


async def _until_said(client: Client, name: str) -> list[Any]:
    found = [await client.one()]
    while "message" not in found[-1] or found[-1]["message"]["userphone"] != name:
        found.append(await client.one())
    return found


async def test_who_is_there(doors: Doors) -> None:
    """A newcomer first gets one `online` per person present, in the order they came; the others are told of it."""
    ann, ann_label = await come(doors)
    bob, bob_label = await come(doors)
    assert await ann.one() == {"online": bob_label}

    eve = await doors.connect()
    told = await eve.got(3)

    assert told[:2] == [{"online": ann_label}, {"online": bob_label}]
    assert await ann.one() == await bob.one() == told[2]
    await bob.close()
    assert await ann.one() == await eve.one() == {"offline": bob_label}


async def test_a_person_is_there_once(doors: Doors) -> None:
    """A second socket of an account, native ones among them, causes no notice; nor does the first to go."""
    kim = await doors.account("kim")
    ann, _ = await come(doors)
    one = await doors.connect("/ws/lobby", {"websocket": kim.legacy})
    assert (await ann.one())["online"] == {"userid": kim.id, "userphone": "kim"}

    two = await doors.connect(f"/ws/lobby?token={kim.access}")
    await doors.live.connect(kim.person)
    await two.one()
    await one.close()
    await until(lambda: len(doors.live.parley.hub.connections_of(kim.person.actor.user_id)) == 2)

    await ann.silence()


async def test_online_sets_the_label(doors: Doors) -> None:
    """The client's own `online` frame says how it is shown; the others hear that the old one went."""
    ann, old = await come(doors)
    bob, _ = await come(doors)
    await ann.heard()

    await ann.send({"online": {"userid": "web-1", "userphone": "网页-Ann"}})

    new = {"userid": "web-1", "userphone": "网页-Ann"}
    assert await bob.got(2) == [{"offline": old}, {"online": new}]
    eve = await doors.connect()
    assert {"online": new} in await eve.got(3)
    await ann.close()
    assert (await bob.got(2))[1] == {"offline": new}


async def test_a_question_without_an_assistant(doors: Doors) -> None:
    """The question is a message; after it the system says, to everybody, that nobody answers."""
    ann, _ = await come(doors)
    bob, _ = await come(doors)
    await ann.heard()

    for number, asked in enumerate(["@ai what time is it?", {"message": CHAT | {"message": "/ai why"}}]):
        await ann.send(asked)
        for client in (ann, bob):
            question, answer = await client.got(2)
            assert question == asked
            time = answer["message"].pop("time")
            assert len(time) == len("2024-01-01 12:00:00"), number
            expected = {"userid": "system", "userphone": "系统", "message": "AI服务暂时不可用，请稍后重试"}
            assert answer == {"message": expected}
    assert await stored(doors) == ["@ai what time is it?", "/ai why"]


async def test_it_is_no_question(doors: Doors) -> None:
    """Only the whole first word asks."""
    ann, _ = await come(doors)

    for text in ("@ai", "@aix hello", "hello @ai x", "email@ai x"):
        await ann.send(text)
        assert await ann.raw() == text
        await ann.silence()
