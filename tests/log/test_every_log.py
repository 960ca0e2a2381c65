"""Conformance: what every log promises, whatever lies between it and its store."""

from __future__ import annotations

import asyncio

import pytest
from tests.log.laws import answers_come_after_durability, order_is_kept
from tests.log.logs import INBOX, Watched, turn

from parley.protocol.errors import Code
from parley.store.interface import Appended, Marked, Refused


async def test_nothing_is_told_before_it_is_durable(any_log: Watched) -> None:
    await answers_come_after_durability(any_log)


async def test_each_conversation_keeps_its_order(any_log: Watched) -> None:
    await order_is_kept(any_log)


async def test_every_change_is_answered_once(any_log: Watched) -> None:
    for n in range(50):
        any_log.send(f"c{n}", conversation=n % 7)
    await any_log.commit_until(50)

    assert {client_id: len(outcomes) for client_id, outcomes in any_log.answers.items()} == {
        f"c{n}": 1 for n in range(50)
    }
    assert all(isinstance(any_log.answer(f"c{n}"), Appended) for n in range(50))
    assert sorted(entry.client_id for entry in any_log.published) == sorted(f"c{n}" for n in range(50))


async def test_a_full_log_refuses_and_drops_nothing(any_log: Watched) -> None:
    """What is refused is refused at once, and can be tried again."""
    for n in range(INBOX + 3):
        any_log.send(f"c{n}", conversation=n % 5)

    refused = [any_log.answer(f"c{INBOX + n}") for n in range(3)]
    assert refused == [Refused(Code.BUSY)] * 3
    assert Code.BUSY.retryable
    await any_log.commit_until(INBOX + 3)
    assert all(isinstance(any_log.answer(f"c{n}"), Appended) for n in range(INBOX))


async def test_marks_are_moved(any_log: Watched) -> None:
    any_log.mark(1)
    any_log.mark(2)
    await any_log.commit()

    assert [marked.read_seq for marked in any_log.marks if isinstance(marked, Marked)] == [1, 2]


async def test_an_answer_that_cannot_be_given_keeps_nobody_from_theirs(any_log: Watched) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    for n in range(5):
        any_log.send(f"c{n}", then=fail if n in {0, 3} else lambda: None)
    await any_log.commit_until(5)

    assert [len(any_log.answers[f"c{n}"]) for n in range(5)] == [1] * 5


async def test_draining_leaves_nothing_unanswered(any_log: Watched) -> None:
    """It ends after the last answer, not before, and takes nothing new meanwhile."""
    any_log.send("one")
    any_log.send("two", conversation=2)
    draining = asyncio.create_task(any_log.log.drain())
    await turn()
    any_log.send("late")
    any_log.mark()

    assert any_log.answer("late") == Refused(Code.DRAINING)
    assert any_log.marks == [Refused(Code.DRAINING)]
    await any_log.store.batch()
    assert not draining.done()
    await any_log.commit_until(3)
    async with asyncio.timeout(20):
        await draining
    assert [type(any_log.answer(it)) for it in ("one", "two")] == [Appended, Appended]


@pytest.mark.parametrize("sent", [0, 1])
async def test_an_idle_log_is_drained_at_once(any_log: Watched, sent: int) -> None:
    for n in range(sent):
        any_log.send(f"c{n}")
    await any_log.commit_until(sent)

    await asyncio.wait_for(any_log.log.drain(), 5)
