"""Who asks is answered, in the log, once, in order; and the room sees the answer grow."""

from __future__ import annotations

import asyncio

import pytest
from tests.assistant.conftest import Serving
from tests.assistant.listener import Listener
from tests.assistant.provider_process import Provider
from tests.gateway.live import Live, Person


def assistant_of(live: Live) -> str:
    return str(live.parley.assistant.service.assistant)  # type: ignore[union-attr]  # one is configured


async def test_a_question_is_answered_in_the_room(server: Live, alice: Person, bob: Person) -> None:
    """A message that begins as streaming, deltas that make up its text, one completion that says all of it."""
    room = await server.group(alice, bob)
    asker, other = await Listener.connect(server, alice), await Listener.connect(server, bob)

    question = await asker.say(room, "@ai count to 40")
    ended = await asker.answer_to(room, question)
    await other.until(lambda: other.ended(room))

    begun = asker.begun(room, question)[0]
    assert (begun["by"], begun["message"]["text"], begun["message"]["status"]) == (
        assistant_of(server),
        "",
        "streaming",
    )
    assert (ended["by"], ended["status"]) == (assistant_of(server), "done")
    assert ended["text"] == " ".join(f"word{n}" for n in range(40))
    assert [len(it.ended(room)) for it in (asker, other)] == [1, 1]


async def test_deltas_join_up_to_the_answer(server: Live, alice: Person) -> None:
    """By offsets in characters: code points, also where JavaScript counts two."""
    room = await server.group(alice)
    asker = await Listener.connect(server, alice)
    question = await asker.say(room, "@ai slowly say 12")
    ended = await asker.answer_to(room, question)
    emoji = await asker.answer_to(room, await asker.say(room, "@ai emoji"))

    offset = 0
    for delta in (it for it in asker.deltas if it["message_id"] == ended["message_id"]):
        assert delta["offset"] == offset
        offset += len(delta["text"])
    assert ended["text"].startswith(asker.texts[ended["message_id"]])
    assert offset > 0
    assert emoji["text"] == "😀👩‍👩‍👧日本語 done"
    assert asker.gaps == 0


async def test_who_may_ask_how(server: Live, alice: Person, bob: Person) -> None:
    """By @ai, by /ai, by a mention, by a reply to it, and in a direct conversation by anything."""
    room = await server.group(alice, bob)
    asker = await Listener.connect(server, alice)
    assistant = assistant_of(server)
    await asker.say(room, "what is asked of nobody gets no answer, @ai or not")

    by_name = await asker.answer_to(room, await asker.say(room, "/ai hello"))
    mentioned = await asker.say(room, "hello you", mentions=[assistant])
    await asker.answer_to(room, mentioned)
    await asker.answer_to(room, await asker.say(room, "and now?", reply_to=by_name["message_id"]))
    ack = await asker.ask("message.send", {"to_user_id": assistant, "client_id": "d1", "text": "just between us"})
    direct = ack["payload"]["conversation_id"]
    await asker.answer_to(direct, ack["payload"]["message_id"])

    assert len(asker.begun(room)) == 3
    assert asker.of_kind(room, "message.created")[1]["message"]["mentions"] == []
    created = {it["message"]["id"]: it["message"] for it in asker.of_kind(room, "message.created")}
    assert created[mentioned]["mentions"] == [assistant]


async def test_what_is_no_question_gets_no_answer(server: Live, alice: Person, bob: Person) -> None:
    room = await server.group(alice, bob)
    asker = await Listener.connect(server, alice)
    first = await asker.say(room, "hello")
    for text in ("@aim high", "/airport", "say @ai hello", "@ai", "@ai   "):
        await asker.say(room, text, reply_to=first)

    await asker.answer_to(room, await asker.say(room, "@ai the last one"))

    assert len(asker.begun(room)) == 1


async def test_answers_begin_in_the_order_of_their_questions(serving: Serving, provider: Provider) -> None:
    """However many are asked at once, and whoever asks."""
    async with serving(running=3, running_per_room=2, waiting_per_user=50) as server:
        people = [await server.person(name) for name in ("ann", "ben", "cid")]
        room = await server.group(*people)
        asker = await Listener.connect(server, people[0])

        acks = await asyncio.gather(*(server.say(people[n % 3], room, f"@ai count to {n % 7 + 1}") for n in range(50)))
        await asker.until(lambda: len(asker.ended(room)) == 50)

        questions = [str(it.message_id) for it in sorted(acks, key=lambda ack: ack.seq)]
        assert [it["message"]["reply_to"] for it in asker.begun(room)] == questions
        running = most = 0
        for entry in asker.entries[room]:
            if entry["kind"] == "message.completed":
                running -= 1
            elif entry.get("message", {}).get("status") == "streaming":
                running += 1
                most = max(most, running)
        assert most <= 2


async def test_the_line_is_told_and_has_an_end(serving: Serving) -> None:
    """Who waits is told where; who finds no place is told so, and nobody else is."""
    async with serving(running=1, running_per_room=1, waiting=3, waiting_per_user=3) as server:
        ann = await server.person("ann")
        ben = await server.person("ben")
        room = await server.group(ann, ben)
        asker, other = await Listener.connect(server, ann), await Listener.connect(server, ben)
        await asker.growing(room, await asker.say(room, "@ai never end"))

        waiting = [await asker.say(room, f"@ai count to {n}") for n in (1, 2, 3)]
        refused = await asker.say(room, "@ai one too many")
        await asker.until(lambda: [it for it in asker.signals if it["type"] == "notice"])
        queued = [it["payload"] for it in asker.signals if it["type"] == "ai.queued"]
        notice = next(it["payload"] for it in asker.signals if it["type"] == "notice")
        await asker.ask(
            "assistant.cancel", {"conversation_id": room, "message_id": asker.begun(room)[0]["message"]["id"]}
        )
        await asker.until(lambda: len(asker.ended(room)) == 4)

        assert [(it["message_id"], it["place"]) for it in queued[:3]] == [(id_, n) for n, id_ in enumerate(waiting, 1)]
        assert (notice["message_id"], notice["name"]) == (refused, "assistant_busy")
        assert notice["message"] == "AI服务暂时不可用，请稍后重试"
        assert [it for it in other.signals if it["type"] in ("notice", "ai.queued")] == []
        assert [it["message"]["reply_to"] for it in asker.begun(room)][1:] == waiting


async def test_an_answer_is_no_edit_and_can_be_deleted(server: Live, alice: Person) -> None:
    """As a snapshot shows it, and as its emptied entries do."""
    room = await server.group(alice)
    asker = await Listener.connect(server, alice)
    ended = await asker.answer_to(room, await asker.say(room, "@ai hello"))
    actor, conversation = alice.actor, int(room)

    page = await server.parley.history.messages_page(actor, conversation)  # type: ignore[arg-type]
    answered = page.items[-1]
    await asker.ask("message.delete", {"conversation_id": room, "message_id": ended["message_id"]})
    again = await server.parley.history.messages_page(actor, conversation)  # type: ignore[arg-type]
    log = await server.parley.history.log_page(actor, conversation)  # type: ignore[arg-type]

    assert (bytes(answered.text), answered.edit, answered.edited_at) == (b'"an answer"', 0, None)
    assert bytes(answered.status) == b'"done"'  # type: ignore[arg-type]
    assert (bytes(again.items[-1].text), again.items[-1].deleted) == (b"null", True)
    assert b'"text":null,"status":"done","deleted":true' in log.entries[ended["seq"] - 1]


async def test_what_grows_cannot_be_edited(server: Live, alice: Person) -> None:
    room = await server.group(alice)
    asker = await Listener.connect(server, alice)
    message = await asker.growing(room, await asker.say(room, "@ai never end"))

    refused = await asker.ask("message.edit", {"conversation_id": room, "message_id": message, "text": "mine"})
    await asker.ask("assistant.cancel", {"conversation_id": room, "message_id": message})
    await asker.until(lambda: asker.ended(room))
    edited = await asker.ask("message.edit", {"conversation_id": room, "message_id": message, "text": "ours"})

    assert refused["payload"]["name"] == "unsupported"
    assert edited["type"] == "ack"


@pytest.mark.parametrize("type_", ["answer.start", "answer.complete", "message.completed", "ai.delta"])
async def test_no_client_answers_for_it(server: Live, alice: Person, type_: str) -> None:
    asker = await Listener.connect(server, alice)
    room = await server.group(alice)
    question = await asker.say(room, "hello")

    answer = await asker.ask(type_, {"conversation_id": room, "message_id": question, "text": "x", "status": "done"})

    assert answer["payload"]["name"] == "unknown_type"
