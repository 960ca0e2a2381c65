"""An answer that does not come: looked up after two seconds, given up after ten. Time is what the test says it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from tests.log.logs import turn
from tests.log.nodes import Tally

from parley.log.unanswered import LOOKED_UP, Times, Unanswered
from parley.protocol.commands import SendMessage
from parley.protocol.errors import Code
from parley.protocol.events import Ack
from parley.protocol.types import ConversationId, UserId
from parley.store.interface import Append, Outcome, Refused, StoreUnavailable

ACK = Ack(ConversationId(1), 5, 123, True)


@dataclass
class Desk:
    """Commands that wait, over a store that knows what the test puts into it."""

    stored: dict[tuple[UserId, str], Ack] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    told: dict[str, list[Outcome]] = field(default_factory=dict)
    unknown: Tally = field(default_factory=Tally)
    away: bool = False

    def __post_init__(self) -> None:
        self.waiting = Unanswered(self.look_up, Times(), self.unknown)

    async def look_up(self, keys: Sequence[tuple[UserId, str]]) -> dict[tuple[UserId, str], Ack]:
        self.asked.append([client_id for _, client_id in keys])
        if self.away:
            raise StoreUnavailable("gone")
        return {key: self.stored[key] for key in keys if key in self.stored}

    def send(self, client_id: str, at: float) -> int:
        """The number it got."""
        append = Append(UserId(1), SendMessage(ConversationId(1), client_id, "x"))
        return self.waiting.add(append, self.told.setdefault(client_id, []).append, at).number

    async def sweep(self, now: float) -> None:
        self.waiting.sweep(now)
        await turn()


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_nobody_asks_the_store_before_two_seconds(desk: Desk) -> None:
    desk.send("c1", at=100.0)
    await desk.sweep(101.9)

    assert desk.asked == []


async def test_a_lost_answer_is_found_in_the_store(desk: Desk) -> None:
    desk.stored[UserId(1), "c1"] = ACK
    desk.send("c1", at=100.0)
    desk.send("c2", at=101.5)
    await desk.sweep(102.0)

    assert (desk.asked, desk.told) == ([["c1"]], {"c1": [ACK], "c2": []})


async def test_it_is_looked_up_again_every_two_seconds(desk: Desk) -> None:
    desk.send("c1", at=100.0)
    for now in (102.0, 102.25, 103.9, 104.0):
        await desk.sweep(now)
    desk.stored[UserId(1), "c1"] = ACK
    await desk.sweep(106.0)

    assert desk.asked == [["c1"]] * 3
    assert desk.told == {"c1": [ACK]}


async def test_after_ten_seconds_the_outcome_is_unknown(desk: Desk) -> None:
    desk.send("c1", at=100.0)
    desk.send("c2", at=101.0)
    await desk.sweep(110.0)

    assert desk.told == {"c1": [Refused(Code.OUTCOME_UNKNOWN)], "c2": []}
    assert Code.OUTCOME_UNKNOWN.retryable
    assert desk.unknown.value == 1


async def test_an_answer_after_that_is_nobodys(desk: Desk) -> None:
    number = desk.send("c1", at=100.0)
    await desk.sweep(110.0)
    desk.waiting.settle([(number, ACK)])

    assert desk.told == {"c1": [Refused(Code.OUTCOME_UNKNOWN)]}


async def test_an_answer_while_the_store_is_asked_is_given_once(desk: Desk) -> None:
    desk.stored[UserId(1), "c1"] = ACK
    number = desk.send("c1", at=100.0)
    desk.waiting.sweep(102.0)
    first = Ack(ConversationId(1), 5, 123, False)
    desk.waiting.settle([(number, first)])
    await turn()

    assert desk.asked == [["c1"]]
    assert desk.told == {"c1": [first]}


async def test_a_store_that_cannot_be_asked_leaves_them_waiting(desk: Desk) -> None:
    desk.away = True
    number = desk.send("c1", at=100.0)
    await desk.sweep(102.0)
    assert desk.told == {"c1": []}

    desk.waiting.settle([(number, ACK)])
    assert desk.told == {"c1": [ACK]}


async def test_a_crowd_is_looked_up_in_parts(desk: Desk) -> None:
    for n in range(LOOKED_UP + 5):
        desk.send(f"c{n}", at=100.0)
    await desk.sweep(102.0)
    await desk.sweep(102.25)

    assert [len(keys) for keys in desk.asked] == [LOOKED_UP, 5]
    assert desk.asked[1][0] == f"c{LOOKED_UP}"


async def test_silence_is_noticed_and_ends_with_any_answer(desk: Desk) -> None:
    number = desk.send("c1", at=100.0)
    silent = [desk.waiting.silent]
    await desk.sweep(110.0)
    silent.append(desk.waiting.silent)
    desk.waiting.settle([(number, ACK)])

    assert [*silent, desk.waiting.silent] == [False, True, False]


async def test_everything_answered_is_noticed(desk: Desk) -> None:
    number = desk.send("c1", at=100.0)
    answered = asyncio.create_task(desk.waiting.answered())
    await turn()
    before = answered.done()
    desk.waiting.settle([(number, ACK)])
    await turn()

    assert (before, answered.done()) == (False, True)


async def test_somebody_new_is_wanted_again_when_the_last_was_given_up_long_ago(desk: Desk) -> None:
    """Else a node that a proxy sends nobody would stay out for ever: only an answer ends the silence."""
    desk.send("c1", at=100.0)
    assert not desk.waiting.hopeless(105.0)
    await desk.sweep(110.0)
    assert desk.waiting.hopeless(119.9)
    assert not desk.waiting.hopeless(120.0)
    assert desk.waiting.silent, "and still only one at a time is let through"

    desk.send("c2", at=121.0)
    await desk.sweep(131.0)
    assert desk.waiting.hopeless(132.0)
    desk.waiting.settle([(99, ACK)])
    assert not desk.waiting.hopeless(132.0)
