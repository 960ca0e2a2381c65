"""Conformance: each change is answered once, when it is durable, in order; one commit serves all who wait for it."""

from __future__ import annotations

import asyncio

from tests.log.laws import answers_come_after_durability, order_is_kept
from tests.log.logs import INBOX, Watched, turn

from parley.log.direct import BATCH
from parley.protocol.errors import Code
from parley.store.interface import Appended, Marked, Refused, StoreBroken, StoreUnavailable


async def test_nothing_is_told_before_it_is_durable(watched: Watched) -> None:
    await answers_come_after_durability(watched)


async def test_each_conversation_keeps_its_order(watched: Watched) -> None:
    await order_is_kept(watched)


async def test_every_change_is_answered_once(watched: Watched) -> None:
    for n in range(50):
        watched.send(f"c{n}", conversation=n % 3)
    await watched.commit()

    assert {client_id: len(outcomes) for client_id, outcomes in watched.answers.items()} == {
        f"c{n}": 1 for n in range(50)
    }
    assert all(isinstance(watched.answer(f"c{n}"), Appended) for n in range(50))


async def test_an_idle_log_writes_one_at_once(watched: Watched) -> None:
    watched.send("c1")
    await watched.commit()
    watched.send("c2")
    await watched.commit()

    assert watched.store.sizes == [(1, 0), (1, 0)]


async def test_what_comes_during_a_commit_is_the_next_batch(watched: Watched) -> None:
    """A hundred changes from a hundred turns of the loop: one commit more."""
    watched.send("first")
    await watched.store.batch()
    for n in range(100):
        watched.send(f"c{n}")
        await turn()

    assert len(watched.store.waiting) == 1
    await watched.commit()
    await watched.commit()
    assert watched.store.sizes == [(1, 0), (100, 0)]


async def test_the_next_batch_is_on_its_way_before_answers_are_given(watched: Watched) -> None:
    """So that the disk works while sockets are written."""
    writing: list[int] = []
    watched.send("first", then=lambda: writing.append(len(watched.store.waiting)))
    await watched.store.batch()
    watched.send("second")
    await watched.commit()

    assert writing == [1]


async def test_a_batch_has_a_bound(watched: Watched) -> None:
    """It bounds how long one commit holds the others up."""
    watched.log = type(watched.log)(  # type: ignore[call-arg]  # a bigger inbox than one batch
        watched.store, watched.publish, turn_done=lambda: None, on_broken=watched.broken.append, inbox=3 * BATCH
    )
    for n in range(2 * BATCH + 1):
        watched.send(f"c{n}")
    for _ in range(3):
        await watched.commit()

    assert [size for size, _ in watched.store.sizes] == [BATCH, BATCH, 1]
    assert [entry.seq for entry in watched.published] == list(range(1, 2 * BATCH + 2))


async def test_marks_ride_along(watched: Watched) -> None:
    watched.send("c1")
    watched.mark(1)
    watched.mark(2)
    await watched.commit()
    watched.mark(3)
    await watched.commit()

    assert watched.store.sizes == [(1, 2), (0, 1)]
    assert [marked.read_seq for marked in watched.marks if isinstance(marked, Marked)] == [1, 2, 3]


async def test_a_turn_ends_after_all_its_answers(watched: Watched) -> None:
    for n in range(5):
        watched.send(f"c{n}")
    watched.mark()
    await watched.commit()

    assert watched.turns == [6]


# Bounds


async def test_a_full_inbox_refuses_and_drops_nothing(watched: Watched) -> None:
    watched.send("written")
    await watched.store.batch()
    for n in range(INBOX + 3):
        watched.send(f"c{n}")

    refused = [watched.answer(f"c{INBOX + n}") for n in range(3)]
    assert refused == [Refused(Code.BUSY)] * 3
    assert Code.BUSY.retryable
    await watched.commit()
    await watched.commit()
    assert all(isinstance(watched.answer(f"c{n}"), Appended) for n in range(INBOX))


async def test_marks_have_a_bound_of_their_own(watched: Watched) -> None:
    """A flood of them keeps nobody from writing."""
    for _ in range(INBOX + 1):
        watched.mark()
    watched.send("c1")
    assert watched.marks == [Refused(Code.BUSY)]

    await watched.commit()

    assert isinstance(watched.answer("c1"), Appended)


# The store fails


async def test_an_unavailable_store_refuses_the_batch_and_publishes_nothing(watched: Watched) -> None:
    for n in range(3):
        watched.send(f"c{n}")
    watched.mark()
    await watched.fail(StoreUnavailable("the disk is full"))

    assert [watched.answer(f"c{n}") for n in range(3)] == [Refused(Code.STORAGE_UNAVAILABLE)] * 3
    assert watched.marks == [Refused(Code.STORAGE_UNAVAILABLE)]
    assert (watched.published, watched.broken) == ([], [])
    assert Code.STORAGE_UNAVAILABLE.retryable


async def test_after_a_failure_the_next_batch_goes_through(watched: Watched) -> None:
    watched.send("c1")
    await watched.fail(StoreUnavailable("the disk is full"))
    watched.send("c1")
    await watched.commit()

    assert [type(outcome) for outcome in watched.answers["c1"]] == [Refused, Appended]
    assert [entry.seq for entry in watched.published] == [1]


async def test_a_broken_store_is_reported_after_the_refusals(watched: Watched) -> None:
    error = StoreBroken("fsync failed")
    watched.send("c1")
    await watched.fail(error)

    assert watched.broken == [error]
    assert watched.answer("c1") == Refused(Code.STORAGE_UNAVAILABLE)


# A listener fails


def fail() -> None:
    raise ZeroDivisionError


async def test_an_answer_that_cannot_be_given_keeps_nobody_from_theirs(watched: Watched) -> None:
    """One connection's bug, first or last in the batch, is nobody else's."""
    for n in range(5):
        watched.send(f"c{n}", then=fail if n in {0, 3} else lambda: None)
    watched.mark()
    await watched.commit()

    assert [len(watched.answers[f"c{n}"]) for n in range(5)] == [1] * 5
    assert (len(watched.marks), watched.turns) == (1, [6])


async def test_a_refusal_that_cannot_be_given_keeps_nobody_from_theirs(watched: Watched) -> None:
    watched.send("c0", then=fail)
    watched.send("c1")
    await watched.fail(StoreBroken("fsync failed"))

    assert watched.answer("c1") == Refused(Code.STORAGE_UNAVAILABLE)
    assert len(watched.broken) == 1


async def test_a_publish_that_fails_keeps_nobody_from_their_answer(watched: Watched) -> None:
    """It is only a hint: what is durable is acknowledged, and readers find it in the store."""
    watched.on_publish = lambda entries: fail()
    watched.send("c1")
    await watched.commit()

    assert isinstance(watched.answer("c1"), Appended)


async def test_a_listener_that_fails_does_not_stop_the_drain(watched: Watched) -> None:
    watched.send("c1", then=fail)
    draining = asyncio.create_task(watched.log.drain())
    await watched.commit()

    assert draining.done()


# Draining


async def test_draining_leaves_nothing_unanswered(watched: Watched) -> None:
    """It ends after the last answer, not before."""
    watched.send("writing")
    await watched.store.batch()
    watched.send("waiting")
    watched.mark()
    draining = asyncio.create_task(watched.log.drain())
    await watched.commit()
    assert not draining.done()

    await watched.commit()

    assert draining.done()
    assert isinstance(watched.answer("waiting"), Appended)
    assert len(watched.marks) == 1


async def test_a_draining_log_takes_nothing_new(watched: Watched) -> None:
    watched.send("before")
    draining = asyncio.create_task(watched.log.drain())
    await turn()
    watched.send("after")
    watched.mark()

    assert watched.answer("after") == Refused(Code.DRAINING)
    assert watched.marks == [Refused(Code.DRAINING)]
    await watched.commit()
    await draining
    assert [size for size, _ in watched.store.sizes] == [1]


async def test_an_idle_log_is_drained_at_once(watched: Watched) -> None:
    watched.send("c1")
    await watched.commit()

    await asyncio.wait_for(watched.log.drain(), 5)


async def test_a_store_that_fails_does_not_stop_the_drain(watched: Watched) -> None:
    watched.send("c1")
    draining = asyncio.create_task(watched.log.drain())
    await watched.fail(StoreUnavailable("gone"))

    assert draining.done()
