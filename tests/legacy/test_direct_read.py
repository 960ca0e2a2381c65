"""`POST /v1/chat/read`: how a direct client says what it has read."""

from __future__ import annotations

import pytest
from tests.legacy.client import Account, Doors
from tests.legacy.numbered import bearer

PATH = "/v1/chat/read"


@pytest.fixture
async def ann(doors: Doors) -> Account:
    return await doors.account("ann")


@pytest.fixture
async def bob(doors: Doors, ann: Account) -> Account:
    return await doors.account("bob")


async def test_up_to_the_head_and_up_to_a_message(doors: Doors, ann: Account, bob: Account) -> None:
    """Never back; native members are told of each step forward."""
    talk = await doors.live.group(ann.person, bob.person)
    acks = [await doors.live.say(ann.person, talk, text) for text in "abc"]
    native = await doors.live.connect(ann.person)

    async def read(**more: str) -> object:
        answer = await doors.post(PATH, {"conversationId": talk} | more, bearer(bob.legacy))
        assert answer.status_code == 200
        return answer.json()

    def at(seq: int, unread: int) -> object:
        data = {"conversationId": talk, "readSeq": seq, "unread": unread}
        return {"code": 200, "message": "success", "data": data}

    assert await read(msgId=str(acks[1].message_id)) == at(acks[1].seq, 1)
    assert (await native.expect("read"))["payload"]["read_seq"] == acks[1].seq
    assert await read(msgId=str(acks[0].message_id)) == at(acks[1].seq, 1)
    assert await read() == at(acks[2].seq, 0)
    frame = (await native.expect("read"))["payload"]
    assert (frame["user_id"], frame["read_seq"], frame["conversation_id"]) == (bob.id, acks[2].seq, talk)


async def test_the_lobby_and_a_room_by_name(doors: Doors, ann: Account) -> None:
    room = await doors.live.room(ann.person, "garden")
    await doors.live.say(ann.person, room)
    for name in ("", "all", "garden", room):
        answer = await doors.post(PATH, {"conversationId": name}, {"websocket": ann.legacy})
        assert (answer.json()["code"], answer.json()["data"]["conversationId"]) == (200, name)


async def test_what_is_not_ones_own_is_refused(doors: Doors, ann: Account, bob: Account) -> None:
    """In the envelope, with HTTP's status beside it."""
    talk = await doors.live.group(ann.person)
    ack = await doors.live.say(ann.person, talk)
    bodies = [
        {"conversationId": talk}, {"conversationId": talk, "msgId": str(ack.message_id)}, {"conversationId": "999999"},
        {"conversationId": "nowhere"}, {"conversationId": "9" * 30}, {"conversationId": "٣"},
        {"conversationId": "all", "msgId": "7"}, {"conversationId": "all", "msgId": "x"},
    ]  # fmt: skip
    for body in bodies:
        answer = await doors.post(PATH, body, bearer(bob.legacy))
        assert answer.status_code in (403, 404), (body, answer.text)
        assert answer.json()["code"] == answer.status_code
    for headers in ({}, bearer("x")):
        assert (await doors.post(PATH, {"conversationId": talk}, headers)).status_code == 401
