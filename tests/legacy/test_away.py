"""Being away: what a direct or kama client is served when it comes back, and what a pong proves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from tests.gateway.live import until
from tests.legacy.client import Account, Doors
from tests.legacy.conftest import OpenDoors
from tests.legacy.numbered import Careful

from parley.gateway.legacy import away
from parley.protocol.commands import JoinConversation
from parley.protocol.types import ConversationId

Come = Callable[[Doors, Account], Awaitable[Careful]]


@pytest.fixture(params=["picows", "sansio"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def come(engine: str) -> Come:
    """One dialect on each engine: what is asked here of the two engines is the same, a pong with its payload."""
    return Careful.direct if engine == "picows" else Careful.kama


@pytest.fixture
async def ann(doors: Doors) -> Account:
    return await doors.account("ann")


@pytest.fixture
async def bob(doors: Doors, ann: Account) -> Account:
    return await doors.account("bob")


@pytest.fixture
async def talk(doors: Doors, ann: Account, bob: Account) -> str:
    return await doors.live.group(ann.person, bob.person)


async def say(doors: Doors, who: Account, talk: str, *texts: str) -> None:
    for text in texts:
        await doors.live.say(who.person, talk, text)


async def served(come: Come, doors: Doors, who: Account, *, answer: bool = True) -> list[str]:
    """Come, see what is served, prove (or not) that it arrived, and go."""
    client = await come(doors, who)
    contents, ping = await client.until_ping()
    if answer:
        await client.pong(ping)
        await client.close()
    else:
        await client.cut()
    return contents


async def test_the_first_connect_ever_starts_at_the_head(
    come: Come, doors: Doors, ann: Account, bob: Account, talk: str
) -> None:
    """What was said before is history, not missed."""
    await say(doors, ann, talk, "old")

    assert await served(come, doors, bob, answer=False) == []
    await say(doors, ann, talk, "new")
    assert await served(come, doors, bob) == ["new"]


async def test_what_was_missed_comes_once_and_oldest_first(
    come: Come, doors: Doors, ann: Account, bob: Account, talk: str
) -> None:
    await served(come, doors, bob)
    texts = [f"m{number}" for number in range(250)]
    await say(doors, ann, talk, *texts)

    assert await served(come, doors, bob) == texts
    assert await served(come, doors, bob) == []


async def test_no_more_than_the_newest_are_served(
    come: Come, doors: Doors, ann: Account, bob: Account, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(away, "MISSED", 5)
    await served(come, doors, bob)
    await say(doors, ann, talk, *"abcdefgh")

    assert await served(come, doors, bob) == list("defgh")
    assert await served(come, doors, bob) == []


async def test_a_cut_before_the_pong_serves_again(
    come: Come, doors: Doors, ann: Account, bob: Account, talk: str
) -> None:
    """At least once: until a pong has come, as often as needed."""
    await served(come, doors, bob)
    await say(doors, ann, talk, "a", "b")

    for _ in range(2):
        assert await served(come, doors, bob, answer=False) == ["a", "b"]
    assert await served(come, doors, bob) == ["a", "b"]
    assert await served(come, doors, bob) == []


async def test_a_pong_proves_only_what_came_before_its_ping(
    come: Come, doors: Doors, ann: Account, bob: Account, talk: str
) -> None:
    """What was written between the ping and its pong is served again; a pong for no ping proves nothing."""
    client = await come(doors, bob)
    _, ping = await client.until_ping()
    await say(doors, ann, talk, "between")
    await client.pong(ping)
    for odd in (b"", ping, b"\xff\xff\xff\xff", b"x" * 125):
        await client.pong(odd)
    await client.cut()

    assert await served(come, doors, bob) == ["between"]


async def test_the_heartbeat_moves_the_mark(opening: OpenDoors, come: Come) -> None:
    """Not only the ping of the greeting: while it listens a client proves what it has."""
    async with opening(heartbeat={"ping_s": 0.2, "silence_s": 30}) as doors:
        ann, bob = await doors.account("ann"), await doors.account("bob")
        talk = await doors.live.group(ann.person, bob.person)
        client = await come(doors, bob)
        await client.until_ping()
        await say(doors, ann, talk, "live")
        contents, ping = await client.until_ping()
        while "live" not in contents:
            contents, ping = await client.until_ping()
        await client.pong(ping)
        await client.cut()

        assert await served(come, doors, bob) == []


async def test_conversations_made_meanwhile_are_served_from_their_beginning(
    come: Come, doors: Doors, ann: Account, bob: Account
) -> None:
    """Also to one who was in none at all when they first came."""
    await served(come, doors, bob)
    group = await doors.live.group(ann.person, bob.person)
    await say(doors, ann, group, "one", "two")
    conversation, _ = await doors.live.parley.conversations.open_direct(ann.person.actor, bob.person.actor.user_id)
    await say(doors, ann, str(conversation), "you there?")

    assert sorted(await served(come, doors, bob)) == ["one", "two", "you there?"]
    assert await served(come, doors, bob) == []


async def test_who_joins_an_old_room_meanwhile_missed_nothing_before(
    come: Come, doors: Doors, ann: Account, bob: Account
) -> None:
    """What was said there before they were in it is history."""
    await served(come, doors, bob)
    room = await doors.live.room(ann.person, "garden")
    await say(doors, ann, room, "before")
    join = JoinConversation(ConversationId(int(room)), doors.live.client_id())
    await doors.live.parley.dispatch.run(bob.person.actor, join)
    await say(doors, ann, room, "after")

    assert await served(come, doors, bob) == ["after"]


async def test_who_is_added_while_connected_hears_and_is_served(
    come: Come, doors: Doors, ann: Account, bob: Account
) -> None:
    """Live at once; after a cut before any pong again, from there on."""
    client = await come(doors, bob)
    await client.until_ping()
    group = await doors.live.group(ann.person)
    await say(doors, ann, group, "before")
    await doors.live.add(ann.person, group, bob.person)
    await say(doors, ann, group, "after")

    while b'"after"' not in (await client.socket.frame())[1]:
        pass
    await client.cut()
    assert await served(come, doors, bob) == ["after"]


async def test_who_was_removed_meanwhile_is_served_nothing(
    come: Come, doors: Doors, ann: Account, bob: Account, talk: str
) -> None:
    await served(come, doors, bob)
    await say(doors, ann, talk, "secret")
    await doors.live.remove(ann.person, talk, bob.person)

    assert await served(come, doors, bob) == []


async def test_each_dialect_has_marks_of_its_own(doors: Doors, ann: Account, bob: Account, talk: str) -> None:
    """What the one was served the other still has to come for."""
    for come in (Careful.direct, Careful.kama):
        await served(come, doors, bob)
    await say(doors, ann, talk, "both")

    for come in (Careful.direct, Careful.kama):
        assert await served(come, doors, bob) == ["both"]
        assert await served(come, doors, bob) == []


async def test_marks_survive_a_restart(opening: OpenDoors, come: Come) -> None:
    async with opening() as doors:
        ann, bob = await doors.account("ann"), await doors.account("bob")
        talk = await doors.live.group(ann.person, bob.person)
        await served(come, doors, bob)
        await say(doors, ann, talk, "got")
        assert await served(come, doors, bob) == ["got"]
        await say(doors, ann, talk, "missed")

    async with opening() as doors:
        assert await served(come, doors, bob) == ["missed"]
        assert await served(come, doors, bob) == []


async def test_one_that_never_answers_pings_is_served_all_again(opening: OpenDoors, come: Come) -> None:
    """It lives while it speaks, and the server does not keep a growing list of questions."""
    async with opening(heartbeat={"ping_s": 0.05, "silence_s": 30}, limits={"messages_per_second": 0}) as doors:
        ann, bob = await doors.account("ann"), await doors.account("bob")
        talk = await doors.live.group(ann.person, bob.person)
        await served(come, doors, bob)
        await say(doors, ann, talk, "a")
        client = await come(doors, bob)
        contents: list[str] = []
        for _ in range(away.PINGS_UNDER_WAY + 2):
            contents += (await client.until_ping())[0]
        (held,) = client._mine()
        assert len(held.legacy.away._waiting) <= away.PINGS_UNDER_WAY
        assert contents == ["a"]
        await client.cut()

        assert await served(come, doors, bob) == ["a"]


async def test_a_slow_reader_is_served_a_page_at_a_time(opening: OpenDoors, come: Come) -> None:
    """Much that was missed is no reason to be closed as slow."""
    async with opening(limits={"queue_frames": 8, "queue_bytes": 65_536}) as doors:
        ann, bob = await doors.account("ann"), await doors.account("bob")
        talk = await doors.live.group(ann.person, bob.person)
        await served(come, doors, bob)
        await doors.live.say_many(ann.person, talk, 900, "x" * 8000)
        client = await come(doors, bob)
        (held,) = client._mine()
        client.socket.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: held.paused)
        client.socket.writer.transport.resume_reading()  # type: ignore[attr-defined]

        contents, _ = await client.until_ping()
        assert contents == ["x" * 8000] * 900
