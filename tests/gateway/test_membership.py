"""Coming and going while connected: who hears what, from which entry on and up to which."""

from typing import Any

from tests.gateway.live import Live, Person
from tests.gateway.test_opening import seqs


def of(frames: list[dict[str, Any]], conversation: str) -> list[str]:
    """What the frames say of one conversation, in short."""
    said = []
    for frame in frames:
        payload = frame["payload"]
        if frame["type"] == "log" and payload["conversation_id"] == conversation:
            said += [entry["kind"] for entry in payload["entries"]]
        elif frame["type"] == "conversation.added" and payload["conversation"]["id"] == conversation:
            said.append("added")
        elif frame["type"] == "conversation.removed" and payload["conversation_id"] == conversation:
            said.append("removed")
    return said


async def test_who_is_removed_hears_that_last(server: Live, alice: Person, bob: Person, talk: str) -> None:
    """Their own going, on all of their devices, and nothing after it."""
    devices = [await server.connect(bob), await server.connect(await server.another_session(bob))]
    await server.say(alice, talk)
    await server.remove(alice, talk, bob)
    await server.say(alice, talk)

    for device in devices:
        assert of(await device.heard(), talk) == ["message.created", "member.left", "removed"]


async def test_in_one_batch_too_nothing_follows(server: Live, alice: Person, bob: Person, talk: str) -> None:
    """Removal and the next message may be one transaction and one frame for everybody else."""
    hers, his = await server.connect(alice), await server.connect(bob)
    about = {"conversation_id": talk}
    await his.send({"type": "conversation.leave", "id": "x", "payload": about})
    await server.say_many(alice, talk, 20)
    frames = await his.heard()

    assert of(frames, talk)[-2:] == ["member.left", "removed"]
    assert len(seqs(await hers.heard(), talk)) == 21


async def test_who_is_added_is_told_before_the_first_entry(
    server: Live, alice: Person, mallory: Person, talk: str
) -> None:
    """The conversation as it stood, then the own joining, then all that follows."""
    hers = await server.connect(mallory)
    joined = await server.add(alice, talk, mallory)
    await server.say_many(alice, talk, 3)
    frames: list[Any] = []
    while len(frames) == 0 or len(seqs(frames, talk)) < 4:
        frames.append(await hers.recv())

    assert of(frames, talk) == ["added", "member.joined", *["message.created"] * 3]
    assert frames[0]["payload"]["conversation"]["head"] == joined.seq - 1
    assert seqs(frames, talk) == [joined.seq + number for number in range(4)]


async def test_a_new_group_tells_everybody_in_it(server: Live, alice: Person, bob: Person) -> None:
    """Each from their own joining on; what was before is in the log."""
    hers, his = await server.connect(alice), await server.connect(bob)
    talk = await server.group(alice, bob)
    for socket, joined in ((hers, 1), (his, 2)):
        added = (await socket.expect("conversation.added"))["payload"]["conversation"]
        frames: list[Any] = []
        while seqs(frames, talk)[-1:] != [2]:
            frames.append(await socket.recv())

        assert (added["id"], added["head"], seqs(frames, talk)[0]) == (talk, joined - 1, joined)


async def test_joining_and_leaving_a_room_again_and_again(server: Live, alice: Person, bob: Person) -> None:
    """Each stay is heard whole and alone."""
    den = await server.room(alice, "den")
    his = await server.connect(bob)
    for _ in range(5):
        await server.say(alice, den, "unheard")
        _, before = await his.gather("conversation.join", {"conversation_id": den})
        said = await server.say(alice, den, "heard")
        while said.seq not in seqs(before, den):
            before.append(await his.recv())
        _, after = await his.gather("conversation.leave", {"conversation_id": den})
        frames = before + after + await his.heard()

        assert of(frames, den) == ["added", "member.joined", "message.created", "member.left", "removed"]


async def test_the_lobby_has_everybody(server: Live, alice: Person, bob: Person) -> None:
    """No joining, no leaving: an account is enough."""
    socket, welcome = await server.login(alice)
    his = await server.connect(bob)
    await socket.acked("message.send", {"conversation_id": welcome["lobby"], "client_id": "c", "text": "hi all"})

    assert (await his.expect("log"))["payload"]["conversation_id"] == welcome["lobby"]
    assert await his.refused("conversation.leave", {"conversation_id": welcome["lobby"]}) == "unsupported"


async def test_somebody_elses_conversations_are_not_heard(
    server: Live, alice: Person, bob: Person, mallory: Person, talk: str
) -> None:
    """Neither by listening, nor by asking to resume them."""
    hers, welcome = await server.login(mallory)
    await hers.acked("resume", {"epoch": welcome["epoch"], "cursors": {talk: 0}})
    await server.say(alice, talk)

    assert of(await hers.heard(), talk) == []
