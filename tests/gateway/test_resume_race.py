"""Entries committed and published at every point of a resume arrive exactly once, in order. The control shows that the
search finds what it looks for.
"""

import asyncio
from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.resume_lab import ACTIONS, BOB, TALK, Action, Breach, Lab, judge, seqs

from parley.gateway.feed import Feed
from parley.protocol.types import EntryKind

SCRIPTS = st.lists(st.sampled_from(ACTIONS), max_size=14)
QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)


async def one_resume(script: Iterable[Action], cursor: int, feed: type[Feed] = Feed) -> None:
    lab = Lab(script, feed=feed)
    await lab.resume(cursor)
    judge(await lab.end(), cursor, len(lab.entries))


@pytest.mark.parametrize("cursor", [1, 3], ids=["behind", "up-to-date"])
async def test_every_order_of_commits_and_publishes(cursor: int) -> None:
    """All five things that may happen, at each of the first six points where the resume waits."""
    for script in product(ACTIONS, repeat=6):
        await one_resume(script, cursor)


@given(SCRIPTS, st.integers(0, 3))
@QUICK
def test_longer_orders(script: list[Action], cursor: int) -> None:
    asyncio.run(one_resume(script, cursor))


class Careless(Feed):
    """Subscribes without a look at what was published since the store was read."""

    def behind(self, read: int) -> bool:
        return False


class Forgetful(Feed):
    """Takes a reader that is ahead of it for one that is not."""

    def add(self, connection: object, read: int) -> None:
        super().add(connection, min(read, read if self.head is None else self.head))  # type: ignore[arg-type]


@pytest.mark.parametrize("feed", [Careless, Forgetful])
async def test_the_search_finds_a_subscription_that_does_not_look(feed: type[Feed]) -> None:
    """Negative control: what is published between reading and subscribing is then lost, or comes twice."""
    breaches = 0
    for script in product(ACTIONS, repeat=4):
        try:
            await one_resume(script, 1, feed)
        except Breach:
            breaches += 1

    assert breaches > 0


def judge_second(frames: list[dict[str, Any]], heard: int, cursor: int, head: int) -> None:
    """What the first one made live goes on after `heard` until the second's range begins, which is whole."""
    wanted = list(range(cursor + 1, head + 1))
    got = seqs(frames)
    before = got[: -len(wanted)]
    if got != [*range(heard + 1, heard + 1 + len(before)), *wanted]:
        raise Breach(f"{got} after {heard} and then {cursor}, where {head} are")


@given(SCRIPTS, st.integers(0, 3), st.integers(0, 6))
@QUICK
def test_a_second_resume_at_any_time(script: list[Action], cursor: int, later: int) -> None:
    """It sends its range again and is then live: nothing of the first disturbs it."""

    async def run() -> None:
        lab = Lab(script)
        first = lab.resume(2)
        for _ in range(later):
            await asyncio.sleep(0)
        await asyncio.gather(lab.resume(cursor), first)
        frames = await lab.end()
        acked, again = [index for index, one in enumerate(frames) if one["type"] == "ack"]
        judge_second(frames[acked:], seqs(frames[:acked])[-1], cursor, len(lab.entries))
        assert frames[again]["payload"]["live"][str(TALK)] in [cursor, *seqs(frames[acked:again])]

    asyncio.run(run())


@given(SCRIPTS, st.integers(0, 3), st.integers(0, 4))
@QUICK
def test_a_resume_after_a_hasty_first_command(script: list[Action], cursor: int, later: int) -> None:
    """The implicit one is finished first, never mixed in."""

    async def run() -> None:
        lab = Lab(script)
        lab.connection.bases = {TALK: 3}
        first = lab.first_command()
        for _ in range(later):
            await asyncio.sleep(0)
        await asyncio.gather(lab.resume(cursor), first)
        judge_second(await lab.end(), 3, cursor, len(lab.entries))

    asyncio.run(run())


@given(SCRIPTS, st.integers(0, 6))
@QUICK
def test_being_added_while_the_first_command_comes(script: list[Action], later: int) -> None:
    """Whether the invitation or the command is first: told once, and every entry from then on once."""

    async def run() -> None:
        lab = Lab(script)
        lab.connection.bases = {}
        lab.hub.attach(lab.connection, TALK, 2)
        for _ in range(later):
            await asyncio.sleep(0)
        await lab.first_command()
        frames = await lab.end()
        assert [one["type"] for one in frames if one["type"] != "log"] == ["conversation.added"]
        assert frames[0]["type"] == "conversation.added"
        assert seqs(frames) == list(range(3, len(lab.entries) + 1))

    asyncio.run(run())


async def test_who_has_not_said_where_it_stands_is_only_told() -> None:
    """No entry of a conversation that it is added to, until it asks."""
    lab = Lab()
    lab.connection.bases = {}
    lab.hub.attach(lab.connection, TALK, 2)

    assert [one["type"] for one in await lab.end()] == ["conversation.added"]


@given(SCRIPTS, st.integers(0, 3), st.integers(1, 10))
@QUICK
def test_being_removed_at_any_time_of_a_resume(script: list[Action], cursor: int, when: int) -> None:
    """What came before is in order, and nothing comes after conversation.removed."""

    async def run() -> None:
        lab = Lab(script)

        def happens(point: int) -> None:
            if point == when:
                lab.members.clear()
                lab.commit(1, EntryKind.MEMBER_LEFT, BOB)
                lab.publish(-1)

        lab.happens = happens
        await lab.resume(cursor)
        frames = await lab.end()
        kinds = [one["type"] for one in frames]
        if "conversation.removed" in kinds:
            assert "log" not in kinds[kinds.index("conversation.removed") :]
        got = seqs(frames)
        assert got == list(range(cursor + 1, cursor + 1 + len(got)))

    asyncio.run(run())


@given(SCRIPTS, st.integers(0, 3), st.lists(st.integers(1, 12), max_size=3))
@QUICK
def test_a_socket_that_is_full_on_the_way(script: list[Action], cursor: int, full: list[int]) -> None:
    """Pages wait for it; live entries of that time come all the same."""

    async def run() -> None:
        lab = Lab(script)

        def happens(point: int) -> None:
            if point in full:
                lab.connection.pause_writing()
                asyncio.get_running_loop().call_later(0.001, lab.connection.resume_writing)

        lab.happens = happens
        await lab.resume(cursor)
        while lab.connection.resuming is not None:
            await asyncio.wait([lab.connection.resuming])
        lab.connection.resume_writing()
        judge(await lab.end(), cursor, len(lab.entries))

    asyncio.run(run())


async def test_a_hole_in_what_is_published_is_healed() -> None:
    """A publish is a hint: when one was lost the next shows it, and the store fills it."""
    lab = Lab()
    await lab.resume(3)
    await lab.settle()
    lab.commit(5)
    lab.published = 7
    lab.publish(-1)
    frames = await lab.end()

    assert seqs(frames) == [4, 5, 6, 7, 8, 9, 10]


async def test_nothing_is_kept_after_all_have_gone() -> None:
    lab = Lab([(1, -1)] * 8)
    resuming = lab.resume(0)
    await asyncio.sleep(0)
    lab.connection.lost()
    lab.hub.leave(lab.connection)
    await resuming
    await lab.settle()

    assert (lab.hub.feeds, lab.hub.users) == ({}, {})
