"""Answers that do not end by themselves: cancelled, deleted, cut by a death; and people who connect in the middle."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from tests.assistant.conftest import Serving
from tests.assistant.listener import Listener
from tests.assistant.provider_process import Provider
from tests.gateway.live import Live, Person, Template, live_server

from parley.testing import Account, RawSocket, running_server


async def test_who_may_stop_it(server: Live, alice: Person, bob: Person) -> None:
    """Who asked, and administrators; nobody else, and an outsider does not even learn of it."""
    cid, eve = await server.person("cid"), await server.person("eve")
    room = await server.group(bob, cid, alice)
    asker, owner, other = [await Listener.connect(server, it) for it in (cid, bob, alice)]
    outsider = await Listener.connect(server, eve)
    message = await asker.growing(room, await asker.say(room, "@ai never end"))
    mine = {"conversation_id": room, "message_id": message}

    from_outside = await outsider.ask("assistant.cancel", mine)
    dora = await server.person("dora")
    await server.add(bob, room, dora)
    from_another = await (await Listener.connect(server, dora)).ask("assistant.cancel", mine)
    nothing = await owner.ask("assistant.cancel", {**mine, "message_id": "12345"})
    by_owner = await owner.ask("assistant.cancel", mine)
    ended = await asker.until(lambda: asker.ended(room, message))
    again = await other.ask("assistant.cancel", mine)

    assert from_outside["payload"]["name"] == "unknown_conversation"
    assert from_another["payload"]["name"] == "role_required"
    assert nothing["payload"]["name"] == "unknown_message"
    assert (by_owner["type"], again["type"]) == ("ack", "ack")
    assert ended[0]["status"] == "cancelled"
    assert ended[0]["text"].startswith(asker.texts[message])
    assert len(asker.ended(room)) == 1


async def test_it_is_stopped_over_http_too_and_once(server: Live, alice: Person) -> None:
    """By ten at once, while it ends: one end, and nobody is told of an error."""
    room = await server.group(alice)
    asker = await Listener.connect(server, alice)
    message = await asker.growing(room, await asker.say(room, "@ai never end"))

    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        path = f"/api/v1/conversations/{room}/messages/{message}/cancel"
        headers = {"Authorization": f"Bearer {alice.token}"}
        answers = await asyncio.gather(*(http.post(path, headers=headers) for _ in range(10)))
        stranger = await http.post(path)
    await asker.until(lambda: asker.ended(room))

    assert {it.status_code for it in answers} == {204}
    assert stranger.status_code == 401
    assert [it["status"] for it in asker.ended(room)] == ["cancelled"]


@pytest.mark.parametrize("words", [0, 1, 2, 5, 9])
async def test_a_cancel_and_the_end_race(server: Live, alice: Person, words: int) -> None:
    """Whichever is first, there is one end."""
    room = await server.group(alice)
    asker = await Listener.connect(server, alice)
    question = await asker.say(room, "@ai slowly say 6")
    begun = await asker.until(lambda: asker.begun(room, question))
    message = begun[0]["message"]["id"]
    await asker.until(lambda: len(asker.texts.get(message, "")) >= words)

    await asker.ask("assistant.cancel", {"conversation_id": room, "message_id": message})
    await asker.until(lambda: asker.ended(room))
    await asker.say(room, "afterwards")

    assert len(asker.ended(room)) == 1
    assert asker.ended(room)[0]["status"] in {"done", "cancelled"}


async def test_deleting_it_stops_it(server: Live, alice: Person) -> None:
    """And that is its end: nothing of it comes back."""
    room = await server.group(alice)
    asker = await Listener.connect(server, alice)
    message = await asker.growing(room, await asker.say(room, "@ai never end"))

    await asker.ask("message.delete", {"conversation_id": room, "message_id": message})
    service = server.parley.assistant.service
    await asker.answer_to(room, await asker.say(room, "@ai hello"))

    assert int(message) not in service._growths  # type: ignore[union-attr]
    assert asker.ended(room, message) == []
    page = await server.parley.history.messages_page(alice.actor, int(room))  # type: ignore[arg-type]
    assert next(it for it in page.items if it.id == message).deleted


async def test_a_question_that_is_gone_is_not_answered(serving: Serving) -> None:
    """Deleted while it waited, or cancelled by its own id."""
    async with serving(running=1) as server:
        ann = await server.person("ann")
        room = await server.group(ann)
        asker = await Listener.connect(server, ann)
        first = await asker.growing(room, await asker.say(room, "@ai never end"))
        deleted, cancelled, last = [await asker.say(room, f"@ai count to {n}") for n in (1, 2, 3)]
        await asker.until(lambda: len([it for it in asker.signals if it["type"] == "ai.queued"]) >= 3)

        await asker.ask("message.delete", {"conversation_id": room, "message_id": deleted})
        await asker.ask("assistant.cancel", {"conversation_id": room, "message_id": cancelled})
        await asker.ask("assistant.cancel", {"conversation_id": room, "message_id": first})
        await asker.answer_to(room, last)

        assert [it["message"]["reply_to"] for it in asker.begun(room)][1:] == [last]


async def test_who_connects_in_the_middle_goes_on_from_the_beginning(server: Live, alice: Person, bob: Person) -> None:
    """One delta with all so far, then the next ones; no gap, no repeat."""
    room = await server.group(alice, bob)
    asker = await Listener.connect(server, alice)
    question = await asker.say(room, "@ai slowly say 60")
    message = await asker.growing(room, question, chars=40)

    late = await Listener.connect(server, bob)
    await late.until(lambda: late.texts.get(message))
    seen = len(late.deltas)
    ended = await late.answer_to(room, question)

    assert late.deltas[0]["offset"] == 0
    assert len(late.deltas[0]["text"]) >= 40
    assert [it["offset"] for it in late.deltas].count(0) == 1
    assert len(late.deltas) > seen
    assert late.gaps == 0
    assert ended["text"].startswith(late.texts[message])


async def test_leaving_ends_the_room_alone(server: Live, alice: Person, bob: Person) -> None:
    """Who is removed in the middle hears no more of it."""
    room = await server.group(alice, bob)
    asker, other = await Listener.connect(server, alice), await Listener.connect(server, bob)
    message = await asker.growing(room, await asker.say(room, "@ai never end"))
    await other.until(lambda: other.texts.get(message))

    await server.remove(alice, room, bob)
    await other.until(lambda: other.of_kind(room, "member.left"))
    heard = len(other.deltas)
    have = len(asker.deltas)
    await asker.until(lambda: len(asker.deltas) >= have + 3)

    assert len(other.deltas) == heard


async def test_a_stop_ends_it_as_interrupted(serving: Serving, provider: Provider, tmp_path: Path) -> None:
    """While the log still takes it; and what waited is answered by the next start."""
    async with serving(running=1) as server:
        ann = await server.person("ann")
        room = await server.group(ann)
        asker = await Listener.connect(server, ann)
        message = await asker.growing(room, await asker.say(room, "@ai never end"))
        waiting = await asker.say(room, "@ai count to 3")
        await asker.until(lambda: [it for it in asker.signals if it["type"] == "ai.queued"])
        await server.parley.stop()
    async with live_server(tmp_path, assistant=provider.settings()) as server:
        again = await Listener.connect(server, ann)

        waited = await again.answer_to(room, waiting)
        ended = again.ended(room, message)

        assert [it["status"] for it in ended] == ["interrupted"]
        assert ended[0]["text"].startswith("word0")
        assert waited["text"] == "word0 word1 word2"


async def test_kill_9_in_the_middle_of_an_answer(provider: Provider, template: Template, tmp_path: Path) -> None:
    """After the restart the room shows what there was, marked, exactly once, however often it is started again."""
    data = tmp_path / "data"
    data.mkdir()
    template.lay_down(data)
    settings = {f"assistant.{name}": str(value) for name, value in provider.settings().items()}
    async with running_server(data, settings=settings) as server:
        async with await Account.open(server.url, "alice") as alice:
            room = await alice.create_room("room", [])
            socket, _ = await RawSocket.login(alice)
            await socket.acked("resume", {"epoch": None, "cursors": {}})
            payload = {"conversation_id": room, "client_id": "q1", "text": "@ai never end"}
            await socket.send({"type": "message.send", "id": "1", "payload": payload})
            async with asyncio.timeout(15):
                # Two drafts are about a second apart; the text is longer than what came before the first.
                while (frame := await socket.recv(within=15))["type"] != "ai.delta" or frame["payload"]["offset"] < 250:
                    pass
            message = frame["payload"]["message_id"]
            for _ in range(2):
                server.kill()
                await server.started()
            log = (await alice.get(f"/conversations/{room}/log"))["entries"]
            items = (await alice.get(f"/conversations/{room}/messages"))["items"]

    ends = [entry for entry in log if entry["kind"] == "message.completed"]
    assert [(it["message_id"], it["status"]) for it in ends] == [(message, "interrupted")]
    assert ends[0]["text"].startswith("word0 word1 word2")
    shown = next(it for it in items if it["id"] == message)
    assert (shown["text"], shown["status"]) == (ends[0]["text"], "interrupted")
    assert [it for it in server.complaints() if "Traceback" in it] == []
