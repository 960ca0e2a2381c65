"""What every presence owes: the same laws for one process and for two nodes over Redis."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tests.presence.nodes import ANN, BOB, CLOCK, Watched, present

from parley.presence.interface import Seen
from parley.presence.memory import MemoryPresence
from parley.protocol.types import UserId


@dataclass
class Pair:
    """Where somebody connects, and who watches elsewhere (in one process: the same)."""

    here: Watched
    there: Watched


@pytest.fixture(params=["memory", "redis"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    if request.param == "memory":
        only = Watched(MemoryPresence(CLOCK))
        await only.presence.start()
        yield Pair(only, only)
        await only.presence.close()
        return
    url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_prefix")
    async with present(url, prefix) as one, present(url, prefix) as other:
        yield Pair(one, other)


async def test_who_comes_and_goes_is_told_everywhere_once(pair: Pair) -> None:
    pair.here.presence.came(ANN)
    await pair.here.tells((ANN, True))
    pair.here.presence.went(ANN)

    await pair.here.tells((ANN, True), (ANN, False))
    await pair.there.tells((ANN, True), (ANN, False))


async def test_changes_of_one_turn_keep_their_order(pair: Pair) -> None:
    for _ in range(20):
        pair.here.presence.came(ANN)
        pair.here.presence.went(ANN)
    pair.here.presence.came(BOB)

    await pair.there.shows(BOB, online=True)
    assert pair.there.changes == [(ANN, True), (ANN, False)] * 20 + [(BOB, True)]


async def test_seen_knows_all_who_are_asked_for(pair: Pair) -> None:
    """Online, gone at a time, and never there."""
    before = CLOCK.now_ms()
    pair.here.presence.came(ANN)
    pair.here.presence.came(BOB)
    pair.here.presence.went(BOB)
    await pair.there.shows(ANN, online=True)
    await pair.there.shows(BOB, online=False)

    seen = await pair.there.presence.seen([ANN, BOB, UserId(99), UserId(-4)])

    assert set(seen) == {ANN, BOB, 99, -4}
    assert seen[ANN] == Seen(True)
    assert seen[UserId(99)] == seen[UserId(-4)] == Seen(False)
    assert seen[BOB] == pair.there.seen[BOB]
    assert not seen[BOB].online
    at = seen[BOB].last_seen
    assert at is not None
    assert before - 1000 <= at <= CLOCK.now_ms() + 1000


async def test_who_was_not_here_cannot_go(pair: Pair) -> None:
    pair.here.presence.went(ANN)
    pair.here.presence.came(BOB)

    await pair.there.tells((BOB, True))


async def test_a_guest_without_a_row_is_known_here(pair: Pair) -> None:
    pair.here.presence.came(UserId(-1))

    await pair.here.tells((UserId(-1), True))
    assert (await pair.here.presence.seen([UserId(-1)]))[UserId(-1)].online


async def test_nobody_asked_for_is_no_question(pair: Pair) -> None:
    assert await pair.here.presence.seen([]) == {}
