"""Group commit: changes that arrive while a batch is written form the next one. No timer and no waiting: an idle
server writes one at once."""

import asyncio
from collections.abc import Callable

from parley.log.figures import BatchMetrics
from parley.log.interface import MarkReply, Publish, Reply
from parley.log.telling import tell
from parley.protocol.errors import Code
from parley.protocol.events import Entry
from parley.store.interface import (
    Append,
    Appended,
    BatchResult,
    BatchStore,
    Mark,
    Refused,
    StoreBroken,
    StoreUnavailable,
)

INBOX = 20_000
"""Changes waiting to be written; at the bound the next is refused as busy. About a second of work."""
BATCH = 1_000
"""Changes in one transaction: bounds how long one batch holds the others up."""


Waiting = list[tuple[Append, Reply]]
WaitingMarks = list[tuple[Mark, MarkReply]]


class DirectLog:
    """`Log` straight into this process's store. Belongs to one event loop."""

    def __init__(
        self,
        store: BatchStore,
        publish: Publish,
        *,
        turn_done: Callable[[], None],
        on_broken: Callable[[StoreBroken], None],
        metrics: BatchMetrics | None = None,
        inbox: int = INBOX,
    ) -> None:
        """`turn_done` is called after a batch's entries were published and its replies given, to write it all to the
        sockets at once."""
        self._store = store
        self._publish = publish
        self._turn_done = turn_done
        self._on_broken = on_broken
        self._metrics = metrics
        self._inbox = inbox
        self._loop = asyncio.get_running_loop()
        self._waiting: Waiting = []
        self._marks: WaitingMarks = []
        self._writing = False
        self._scheduled = False
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, append: Append, reply: Reply) -> None:
        if self._draining:
            reply(Refused(Code.DRAINING))
        elif len(self._waiting) >= self._inbox:
            reply(Refused(Code.BUSY))
        else:
            self._waiting.append((append, reply))
            self._schedule()

    def mark(self, mark: Mark, reply: MarkReply) -> None:
        if self._draining:
            reply(Refused(Code.DRAINING))
        elif len(self._marks) >= self._inbox:
            reply(Refused(Code.BUSY))
        else:
            self._marks.append((mark, reply))
            self._schedule()

    def _schedule(self) -> None:
        """Begin once the frames that this turn of the loop has read are all in."""
        self._idle.clear()
        if not self._writing and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._scheduled = False
        if self._writing or not (self._waiting or self._marks):
            return
        self._writing = True
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        marks, self._marks = self._marks[:BATCH], self._marks[BATCH:]

        begun = self._loop.time()

        def done(result: BatchResult | StoreUnavailable) -> None:
            self._loop.call_soon_threadsafe(self._written, batch, marks, result, begun)

        self._store.submit([append for append, _ in batch], [mark for mark, _ in marks], done)

    def _written(
        self, batch: Waiting, marks: WaitingMarks, result: BatchResult | StoreUnavailable, begun: float
    ) -> None:
        """On the loop again. The next batch starts first, so that the disk works while the sockets are written."""
        self._writing = False
        self._begin()
        if self._metrics is not None:
            self._metrics.batch_size.observe(len(batch))
            self._metrics.batch_seconds.observe(self._loop.time() - begun)
        if isinstance(result, StoreUnavailable):
            self._refuse(batch, marks, result)
        else:
            self._answer(batch, marks, result)
        tell(self._turn_done)
        if not (self._writing or self._waiting or self._marks):
            self._idle.set()

    def _answer(self, batch: Waiting, marks: WaitingMarks, result: BatchResult) -> None:
        entries: list[Entry] = []
        for outcome in result.outcomes:
            if type(outcome) is Appended:
                entries += outcome.entries
        if entries:
            tell(self._publish, entries)
        for (_, reply), outcome in zip(batch, result.outcomes, strict=True):
            tell(reply, outcome)
        for (_, mark_reply), marked in zip(marks, result.marks, strict=True):
            tell(mark_reply, marked)

    def _refuse(self, batch: Waiting, marks: WaitingMarks, error: StoreUnavailable) -> None:
        refused = Refused(Code.STORAGE_UNAVAILABLE)
        for _, reply in batch:
            tell(reply, refused)
        for _, mark_reply in marks:
            tell(mark_reply, refused)
        if isinstance(error, StoreBroken):
            tell(self._on_broken, error)

    @property
    def accepting(self) -> bool:
        return not self._draining and len(self._waiting) < self._inbox

    async def drain(self) -> None:
        self._draining = True
        await self._idle.wait()
