"""Calls of kama clients: their beginning, answer and refusal are kept, the rest only passes."""

from __future__ import annotations

import json

import pytest
from tests.legacy.client import Account, Client, Doors
from tests.legacy.numbered import call, direct, kama, said


@pytest.fixture
async def ann(doors: Doors) -> Account:
    return await doors.account("ann")


@pytest.fixture
async def bob(doors: Doors, ann: Account) -> Account:
    return await doors.account("bob")


@pytest.fixture
async def hers(doors: Doors, ann: Account) -> Client:
    return await kama(doors, ann)


@pytest.fixture
async def his(doors: Doors, bob: Account) -> Client:
    return await kama(doors, bob)


async def stored(doors: Doors, who: Account, other: Account) -> list[str]:
    """The kinds of call frames in the log of the two."""
    talk = doors.live.parley.conversations.known_direct(who.person.actor.user_id, other.person.actor.user_id)
    assert talk is not None
    page = await doors.live.parley.legacy.entries_after(talk, 0, None)
    assert page is not None
    bodies = [json.loads(entry.body)["message"] for entry in page[0]]
    return [json.loads(body["legacy"]["av_data"])["type"] for body in bodies if "av_data" in body.get("legacy", {})]


@pytest.mark.parametrize("kind", ["start_call", "receive_call", "reject_call"])
async def test_a_kept_call_is_shown_to_the_one_called(
    doors: Doors, ann: Account, bob: Account, hers: Client, his: Client, kind: str
) -> None:
    """On no device of the caller, now or later; other dialects are not shown it as text."""
    also_hers, old = await kama(doors, ann), await direct(doors, bob)

    sent = call(ann, bob, kind)
    await hers.send(sent)

    frame = await his.one()
    assert (frame["type"], frame["av_data"], frame["content"]) == (3, sent["av_data"], "")
    assert (frame["send_id"], frame["receive_id"]) == (f"U{ann.id}", f"U{bob.id}")
    assert frame["created_at"]
    for client in (hers, also_hers, old, await kama(doors, ann)):
        await client.silence()
    assert await stored(doors, ann, bob) == [kind]


@pytest.mark.parametrize("kind", ["sdp", "candidate", ""])
async def test_the_rest_passes_and_is_not_kept(
    doors: Doors, ann: Account, bob: Account, hers: Client, his: Client, kind: str
) -> None:
    sent = call(ann, bob, kind, "PROXY" if kind else "PEER_LEAVE", body={"x": "y" * 5000})
    await hers.send(sent)

    frame = await his.one()
    assert (frame["type"], frame["av_data"]) == (3, sent["av_data"])
    await hers.silence()
    assert await stored(doors, ann, bob) == []


async def test_a_call_keeps_its_order(doors: Doors, ann: Account, bob: Account, hers: Client, his: Client) -> None:
    """What passes does not overtake what is kept, although that is stored first."""
    kinds = ["start_call", "sdp", "candidate", "candidate", "reject_call", "start_call", "sdp"] * 3
    await hers.send(said(ann, f"U{bob.id}", "may I?"))
    assert await his.one() == await hers.one()
    for kind in kinds:
        await hers.send(call(ann, bob, kind))
    await hers.send(said(ann, f"U{bob.id}", "hello?"))

    frames = await his.got(len(kinds) + 1)
    assert [json.loads(frame["av_data"])["type"] for frame in frames[:-1]] == kinds
    assert frames[-1]["content"] == "hello?"


async def test_calls_of_a_forged_sender_are_refused(ann: Account, bob: Account, hers: Client, his: Client) -> None:
    """To that client only."""
    for kind in ("start_call", "sdp"):
        await hers.send(call(ann, bob, kind) | {"send_id": f"U{bob.id}"})
        assert await hers.raw() == "send_id is not your own."
    await his.silence()


async def test_a_call_that_is_none_is_refused(doors: Doors, ann: Account, bob: Account, hers: Client) -> None:
    """Odd data, a group, nobody: told to the caller, and the connection lives."""
    talk = await doors.live.group(ann.person, bob.person)
    odd = ["", "x", "[]", "null", "{}", '{"messageId":"PROXY"}', '{"messageId":"PROXY","type":"x"}', '{"messageId":7}']
    bad = [said(ann, f"U{bob.id}", type=3, av_data=data) for data in odd]
    bad.append(call(ann, bob, "start_call") | {"receive_id": f"G{talk}"})
    bad += [call(ann, bob, kind) | {"receive_id": "U999999"} for kind in ("start_call", "sdp")]
    for frame in bad:
        await hers.send(frame)
        answer = await hers.raw()
        assert answer
        assert not str(answer).startswith("{"), frame
    await hers.send(said(ann, f"U{ann.id}", "still here"))
    assert (await hers.one())["content"] == "still here"


async def test_a_call_to_who_is_away_waits(doors: Doors, ann: Account, bob: Account, hers: Client, his: Client) -> None:
    """What is kept is shown when they come; what only passed is gone."""
    await his.close()
    for kind in ("start_call", "sdp"):
        await hers.send(call(ann, bob, kind))
    await hers.send(said(ann, f"U{bob.id}", "call me back"))
    await hers.one()

    again = await doors.connect(f"/ws?client_id=U{bob.id}&token={bob.legacy}")
    _, called, said_then = await again.got(3)
    assert json.loads(called["av_data"])["type"] == "start_call"
    assert said_then["content"] == "call me back"
    await again.silence()
