"""What another node did to a session or an account is felt by the sockets here, without a word from it."""

import re
from typing import Any

import pytest
from sqlalchemy import update
from tests.gateway.live import Live, Person
from tests.gateway.test_ends import hold_back

from parley.gateway import endings, gateway
from parley.gateway.endings import Endings
from parley.store.interface import StoreUnavailable
from parley.store.tables import sessions, users


@pytest.fixture
def looking(server: Live) -> Endings:
    return Endings(server.parley.hub, server.parley.accounts.sessions)


async def behind_our_back(server: Live, statement: object) -> None:
    await server.parley.database.write(lambda connection: connection.execute(statement))  # type: ignore[call-overload]


async def test_a_session_that_ended_elsewhere(server: Live, alice: Person, bob: Person, looking: Endings) -> None:
    """That one, and no other of the user."""
    phone = await server.another_session(bob)
    lost, kept = await server.connect(bob), await server.connect(phone)
    ended = update(sessions).where(sessions.c.id == bob.identity.session_id).values(revoked_at=1)
    await behind_our_back(server, ended)
    await looking.look()

    await lost.expect_close(4500)
    assert await kept.heard() == []


async def test_an_account_that_was_turned_off(server: Live, bob: Person, looking: Endings) -> None:
    his = await server.connect(bob)
    await behind_our_back(server, update(users).where(users.c.id == bob.actor.user_id).values(deactivated_at=1))
    await looking.look()

    await his.expect_close(4500)


async def test_who_is_administrator_no_more_has_no_power_left_on_an_open_socket(
    server: Live, alice: Person, bob: Person, looking: Endings
) -> None:
    """The lobby's messages are an administrator's to delete."""
    hers, welcome = await server.login(alice)
    said = [await server.say(bob, welcome["lobby"]) for _ in range(2)]
    about = {"conversation_id": welcome["lobby"]}
    await hers.acked("message.delete", about | {"client_id": "d1", "message_id": str(said[0].message_id)})
    await behind_our_back(server, update(users).where(users.c.id == alice.actor.user_id).values(role="member"))
    await looking.look()

    refused = await hers.refused("message.delete", about | {"client_id": "d2", "message_id": str(said[1].message_id)})
    assert refused == "role_required"


async def test_all_sockets_are_asked_of_in_pieces(
    server: Live, alice: Person, bob: Person, mallory: Person, looking: Endings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "CHUNK", 1)
    sockets = [await server.connect(person) for person in (alice, bob, mallory)]
    await behind_our_back(server, update(sessions).values(revoked_at=1))
    await looking.look()

    for socket in sockets:
        await socket.expect_close(4500)


async def test_it_looks_by_itself_and_goes_on_after_a_store_that_was_away(
    server: Live, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    his = await server.connect(bob)
    book = server.parley.accounts.sessions
    asked: list[int] = []
    real = book.standing_among

    async def standing_among(wanted: list[int]) -> dict[int, bool]:
        asked.append(len(wanted))
        if len(asked) < 3:
            raise StoreUnavailable("gone")
        return await real(wanted)  # type: ignore[arg-type,return-value]

    monkeypatch.setattr(book, "standing_among", standing_among)
    await behind_our_back(server, update(sessions).values(revoked_at=1))
    looking = Endings(server.parley.hub, book, interval_s=0.01)
    looking.start()
    await his.expect_close(4500)
    await looking.stop()

    assert len(asked) >= 3


async def test_a_read_that_was_overtaken_by_a_logout_is_not_believed(
    server: Live, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was on its way when the session ended."""
    book, session = server.parley.accounts.sessions, bob.identity.session_id
    book._known.clear()
    real = server.parley.database.read

    async def read(question: Any) -> Any:
        answer: Any = await real(question)
        monkeypatch.undo()
        await book.end(session, bob.actor.user_id)
        return answer

    monkeypatch.setattr(book._database, "read", read)
    state = await book._find(session)

    assert state is not None
    assert state.revoked
    assert session not in book._known


# Draining


async def test_a_commit_that_hangs_does_not_hold_the_drain(
    server: Live, alice: Person, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client is sent away, and asks again elsewhere with the same client_id."""
    monkeypatch.setattr(gateway, "FINISH_SECONDS", 0.05)
    store = hold_back(server)
    hers = await server.connect(alice)
    said = {"conversation_id": talk, "client_id": "c", "text": "hi"}
    await hers.send({"type": "message.send", "id": "c", "payload": said})
    assert await hers.heard() == []
    await server.parley.gateway.drain(server.parley.log.drain)

    await hers.expect_close(4003)
    store.let_go()


async def test_few_that_are_sent_away_may_come_back_at_once(server: Live, alice: Person) -> None:
    hers = await server.connect(alice)
    await server.parley.gateway.drain(server.parley.log.drain)
    told = re.search(r"(\d+) ms", await hers.expect_close(4003))

    assert told is not None
    assert told[1] == "0"


async def test_a_resume_costs_by_what_it_names(serving: object, template: object) -> None:
    """Ten thousand conversations of others, again and again, are not one command each."""
    async with serving(limits={"burst": 50, "messages_per_second": 1}) as server:  # type: ignore[operator]
        alice = await server.person("alice")
        hers, welcome = await server.login(alice)
        strange = {str(1_000_000 + number): 0 for number in range(2000)}
        asked = {"epoch": welcome["epoch"], "cursors": strange}
        ack = await hers.acked("resume", asked)

        assert len(ack["gone"]) == 2000
        assert await hers.refused("resume", asked) == "rate_limited"
