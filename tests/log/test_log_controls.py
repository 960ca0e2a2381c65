"""Controls: logs that break a promise are caught by the suite's own laws."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.log.laws import answers_come_after_durability, order_is_kept
from tests.log.logs import INBOX, Done, GatedStore, Watched, make_direct

from parley.log.direct import DirectLog
from parley.log.interface import Reply
from parley.protocol.events import Ack
from parley.store.interface import Append, BatchResult, Fence, Mark


class AcksOnArrival(DirectLog):
    """Fast, and wrong: the answer does not wait for the commit."""

    def submit(self, append: Append, reply: Reply) -> None:
        reply(Ack(append.command.conversation_id, 1, 1, False))
        super().submit(append, lambda outcome: None)


class EagerStore(GatedStore):
    """Says that it is done, and commits afterwards."""

    def submit(
        self, appends: Sequence[Append], marks: Sequence[Mark], done: Done, fences: Sequence[Fence] = ()
    ) -> None:
        super().submit(appends, marks, lambda result: None)
        done(BatchResult([self._append(append) for append in appends], []))


class ReversingStore(GatedStore):
    def submit(
        self, appends: Sequence[Append], marks: Sequence[Mark], done: Done, fences: Sequence[Fence] = ()
    ) -> None:
        super().submit(appends[::-1], marks, done)


async def test_a_log_that_answers_on_arrival_is_caught() -> None:
    watched = Watched()
    watched.log = make_direct(AcksOnArrival, watched, INBOX)

    with pytest.raises(AssertionError, match="acknowledged before it was durable"):
        await answers_come_after_durability(watched)


async def test_a_store_that_answers_before_its_commit_is_caught() -> None:
    watched = Watched(EagerStore())
    watched.log = make_direct(DirectLog, watched, INBOX)

    with pytest.raises(AssertionError, match="published before it was durable"):
        await answers_come_after_durability(watched)


async def test_a_log_that_loses_the_order_is_caught() -> None:
    watched = Watched(ReversingStore())
    watched.log = make_direct(DirectLog, watched, INBOX)

    with pytest.raises(AssertionError, match="out of order"):
        await order_is_kept(watched)
