"""The Python SDK against the real server: nothing lost, doubled or out of order, whatever is cut."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest
from parley_sdk import Client, Disconnected, Entry, Login, Message, ParleyError, Reset, StateFile
from tests.sdk_python.conftest import QUICK, Place

from parley.testing import ChaosProxy, Cut, Fate, acks_of_sends, running_server, steady_port
from parley.testing.account import Account

PATIENCE = 30.0


async def heard(client: Client, room: str, last: str) -> list[str | None]:
    """The texts of a room's messages, up to and including this one."""
    texts: list[str | None] = []
    async with asyncio.timeout(PATIENCE):
        async for event in client:
            if isinstance(event, Message) and event.conversation_id == room:
                texts.append(event.text)
                if event.text == last:
                    return texts
    return texts


async def test_a_bot_answers(place: Place) -> None:
    async with place.client(place.ann) as ann, place.client(place.bob) as bot:
        await asyncio.gather(ann.ready(), bot.ready())
        asking = asyncio.create_task(ann.send("ping", conversation_id=place.room))

        async for message in bot.messages():
            assert message.conversation_id == place.room
            break
        answer = await message.reply(f"{message.text} pong")

        sent = await asking
        assert answer.seq == sent.seq + 1
        assert await heard(ann, place.room, "ping pong") == ["ping", "ping pong"]


async def test_own_messages_are_not_answered(place: Place) -> None:
    async with place.client(place.ann) as ann:
        await ann.ready()
        await ann.send("mine", conversation_id=place.room)
        async for event in ann:
            if isinstance(event, Message) and event.text == "mine":
                assert event.mine
                break


async def test_a_direct_message_by_user_is_one_conversation(place: Place) -> None:
    async with place.client(place.ann) as ann:
        await ann.ready()
        first, second = await asyncio.gather(*(ann.send(f"{n}", to_user_id=place.bob.user_id) for n in range(2)))

    assert first.conversation_id == second.conversation_id
    assert second.seq == first.seq + 1


async def test_what_the_server_refuses_has_a_name(place: Place) -> None:
    async with place.client(place.ann) as ann:
        with pytest.raises(ParleyError) as caught:
            await ann.send("hello", conversation_id="999999999")
        assert (caught.value.name, caught.value.retryable) == ("unknown_conversation", False)
        with pytest.raises(ParleyError, match="unknown_message"):
            await ann.edit(place.room, "1", "x")
        with pytest.raises(ParleyError, match="unknown_user"):
            await ann.api.get("/users/999999999")


async def test_commands_besides_messages(place: Place) -> None:
    async with place.client(place.ann) as ann:
        sent = await ann.send("first", conversation_id=place.room)
        await ann.react(place.room, sent.message_id, "👍")
        await ann.edit(place.room, sent.message_id, "second")
        await ann.unreact(place.room, sent.message_id, "👍")
        await ann.delete(place.room, sent.message_id)
        kinds: list[str] = []
        async for event in ann:
            if isinstance(event, Entry) and event.conversation_id == place.room:
                kinds.append(event.kind)
                if event.kind == "message.deleted":
                    break
    assert kinds == ["message.created", "reaction.added", "message.edited", "reaction.removed", "message.deleted"]


@pytest.mark.parametrize("seed", range(3))
async def test_cuts_cost_nothing(place: Place, seed: int) -> None:
    """Connections end at random bytes in both directions; every text comes once, in order, and every send ends well."""
    random = Random(seed)

    def plan(number: int) -> Fate:
        after = random.randint(300, 6_000)
        how = random.choice([Cut.CLOSE, Cut.RESET])
        if number >= 40:
            return Fate()
        return Fate(up_bytes=after, cut=how) if random.random() < 0.5 else Fate(down_bytes=after, cut=how)

    texts = [f"{seed}-{n}" for n in range(60)]
    async with ChaosProxy("127.0.0.1", place.server.port, plan) as proxy:
        async with place.client(place.ann, url=proxy.url) as ann, place.client(place.bob, url=proxy.url) as bob:
            await asyncio.gather(ann.ready(), bob.ready())
            hearing = asyncio.create_task(heard(bob, place.room, texts[-1]))
            sent = [await ann.send(text, conversation_id=place.room) for text in texts]
            assert await hearing == texts
        assert proxy.counts["connections"] > 4
    assert [one.seq for one in sent] == list(range(sent[0].seq, sent[0].seq + len(texts)))


async def test_a_lost_ack_is_asked_for_again(place: Place) -> None:
    def plan(number: int) -> Fate:
        return Fate(drops=acks_of_sends) if number == 0 else Fate()

    async with ChaosProxy("127.0.0.1", place.server.port, plan) as proxy:
        async with place.client(place.ann, url=proxy.url, answer_s=0.3) as ann:
            sent = await ann.send("once", conversation_id=place.room)
    assert sent.duplicate
    log = await place.ann.log(place.room, upto=sent.seq)
    assert sum(entry.get("client_id") is not None and entry["kind"] == "message.created" for entry in log) == 1


async def test_a_slow_reader_fetches_what_did_not_fit(place: Place) -> None:
    texts = [str(n) for n in range(300)]
    async with place.client(place.bob, inbox=20) as bob, place.client(place.ann) as ann:
        await asyncio.gather(ann.ready(), bob.ready())
        for text in texts:
            await ann.send(text, conversation_id=place.room)

        assert await heard(bob, place.room, texts[-1]) == texts


async def test_order_holds_when_many_are_sent_at_once(place: Place) -> None:
    texts = [str(n) for n in range(100)]
    async with place.client(place.ann) as ann:
        await ann.ready()
        sent = await asyncio.gather(*(ann.send(text, conversation_id=place.room) for text in texts))
    assert [one.seq for one in sent] == list(range(sent[0].seq, sent[0].seq + 100))


async def test_a_restart_of_the_program_goes_on_where_it_was(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "bot.db"
    async with place.client(place.bob, state=StateFile(file)) as bob, place.client(place.ann) as ann:
        await asyncio.gather(bob.ready(), ann.ready())
        await ann.send("one", conversation_id=place.room)
        await heard(bob, place.room, "one")
    async with place.client(place.ann) as ann:
        for text in ("two", "three"):
            await ann.send(text, conversation_id=place.room)

    async with place.client(place.bob, state=StateFile(file)) as again:
        assert await heard(again, place.room, "three") == ["two", "three"]


async def test_what_was_being_dealt_with_comes_again(place: Place, tmp_path: Path) -> None:
    """The program dies in the middle of an event: it must not be taken for done."""
    file = tmp_path / "bot.db"
    first = place.client(place.bob, state=StateFile(file))
    async with first, place.client(place.ann) as ann:
        await asyncio.gather(first.ready(), ann.ready())
        await ann.send("one", conversation_id=place.room)
        await heard(first, place.room, "one")
        # What close() would do for an orderly end does not happen.
        first._inbox._handed = None

    async with place.client(place.bob, state=StateFile(file)) as again, place.client(place.ann) as ann:
        await asyncio.gather(again.ready(), ann.ready())
        await ann.send("two", conversation_id=place.room)
        assert await heard(again, place.room, "two") == ["one", "two"]


async def test_unsent_messages_survive_the_program(tmp_path: Path) -> None:
    """Nobody listens; the program ends; it starts again when the server is there."""
    port, file = steady_port(), tmp_path / "bot.db"
    server = running_server(tmp_path / "data", port=port)
    async with server, await Account.open(server.url, "ann") as ann:
        room = await ann.create_room("later", [])

        async def token() -> str:
            return ann.access_token

        def client() -> Client:
            return Client(server.url, token=token, reconnect_s=QUICK, state=StateFile(file))

        async with client() as one:
            await one.ready()
            server.kill()
            waiting = [asyncio.create_task(one.send(f"{n}", conversation_id=room)) for n in range(3)]
            await asyncio.sleep(0)
        assert all(task.done() for task in waiting)

        await server.started()
        async with client() as two:
            assert (await heard(two, room, "2"))[-3:] == ["0", "1", "2"]
            await two.flush()
        log = await ann.log(room, upto=4)
        assert sum(entry["kind"] == "message.created" for entry in log) == 3


async def test_another_account_does_not_get_what_was_left(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    state = StateFile(file)
    state.stand("some", place.ann.user_id, {place.room: 1})
    state.put("k", {"client_id": "k", "conversation_id": place.room, "text": "ann's", "kind": "text"})
    state.close()

    async with place.client(place.bob, state=StateFile(file)) as bob, place.client(place.ann) as ann:
        await asyncio.gather(bob.ready(), ann.ready())
        await ann.send("end", conversation_id=place.room)
        assert await heard(bob, place.room, "end") == ["end"]
    state = StateFile(file)
    assert state.load().unsent == {}
    state.close()


async def test_another_history_is_told(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    state = StateFile(file)
    state.stand("another epoch", place.bob.user_id, {place.room: 7_000})
    state.close()

    told: list[str] = []
    async with place.client(place.bob, state=StateFile(file)) as bob:
        async with asyncio.timeout(PATIENCE):
            async for event in bob:
                if isinstance(event, Reset):
                    told.append(event.conversation_id)
                    break
    assert told == [place.room]


async def test_one_state_file_one_client(place: Place, tmp_path: Path) -> None:
    state = StateFile(tmp_path / "bot.db")
    try:
        with pytest.raises(Exception, match="locked"):
            StateFile(tmp_path / "bot.db")
    finally:
        state.close()


async def test_the_outbox_has_a_bound(place: Place) -> None:
    async with place.client(place.ann, url="http://127.0.0.1:9", outbox=2) as ann:
        waiting = [asyncio.create_task(ann.send("x", conversation_id=place.room)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ParleyError, match="outbox_full"):
            await ann.send("x", conversation_id=place.room)
    assert all(
        isinstance(task.exception() if not task.cancelled() else ParleyError("", ""), ParleyError) for task in waiting
    )


async def test_an_ended_session_ends_the_client(place: Place) -> None:
    login = await Login.open(place.server.url, "bob", place.bob.password)
    async with Client(place.server.url, token=login, reconnect_s=QUICK) as bob:
        await bob.ready()
        await login.close()
        with pytest.raises(Disconnected, match="session_ended"):
            await heard(bob, place.room, "never")
        assert (bob.state, bob.reason) == ("disconnected", "session_ended")
        with pytest.raises(ParleyError, match="session_ended"):
            await bob.send("x", conversation_id=place.room)


async def test_a_bad_token_is_refused_for_good(place: Place) -> None:
    async with Client(place.server.url, token="nonsense", reconnect_s=QUICK) as nobody:
        with pytest.raises(ParleyError, match="unauthenticated"):
            await nobody.ready()


async def test_a_removed_member_hears_its_end_and_no_more(place: Place) -> None:
    async with place.client(place.bob) as bob:
        await bob.ready()
        await place.ann.delete(f"/conversations/{place.room}/members/{place.bob.user_id}")
        async with asyncio.timeout(PATIENCE):
            kinds = []
            async for event in bob:
                kinds.append(event.kind if isinstance(event, Entry) else getattr(event, "type", ""))
                if kinds[-1] == "conversation.removed":
                    break
        assert kinds[-2:] == ["member.left", "conversation.removed"]
        assert place.room not in bob.conversations
