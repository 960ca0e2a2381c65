"""Every log the conformance suite runs over, on a store that commits when the test says so.

A new implementation earns its place by one row in `LOGS`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from parley.log.direct import DirectLog
from parley.log.interface import Log
from parley.protocol.commands import SendMessage
from parley.protocol.events import Ack, Entry
from parley.protocol.types import ConversationId, EntryKind, UserId
from parley.store.interface import (
    Append,
    Appended,
    BatchResult,
    BatchStore,
    Fence,
    Fenced,
    Mark,
    Marked,
    Outcome,
    Refused,
    StoreBroken,
    StoreUnavailable,
)

Done = Callable[[BatchResult | StoreUnavailable], None]
PATIENCE = 20.0


class GatedStore:
    """A `BatchStore` in memory: what was submitted becomes durable when the test says `commit`."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Sequence[Append], Sequence[Mark], Done, Sequence[Fence]]] = []
        self.offsets: dict[tuple[str, int], int] = {}
        """Of each partition, up to where it was read into here."""
        self.sizes: list[tuple[int, int]] = []
        """(appends, marks) of each batch that was submitted."""
        self.durable: list[Entry] = []
        self._heads: dict[int, int] = defaultdict(int)
        self._arrived = asyncio.Event()

    def submit(
        self, appends: Sequence[Append], marks: Sequence[Mark], done: Done, fences: Sequence[Fence] = ()
    ) -> None:
        self.waiting.append((appends, marks, done, fences))
        self.sizes.append((len(appends), len(marks)))
        self._arrived.set()

    async def batch(self) -> None:
        """Wait until there is one to commit."""
        async with asyncio.timeout(PATIENCE):
            while not self.waiting:
                self._arrived.clear()
                await self._arrived.wait()

    def commit(self) -> None:
        appends, marks, done, fences = self.waiting.pop(0)
        if any(self.offsets.get((it.topic, it.partition), it.first) != it.first for it in fences):
            done(Fenced("another appender was here"))
            return
        self.offsets.update({(it.topic, it.partition): it.after for it in fences})
        outcomes: list[Outcome] = [self._append(append) for append in appends]
        marked: list[Marked | Refused] = [
            Marked(it.user_id, it.conversation_id, it.read_seq, it.delivered_seq, 0, True) for it in marks
        ]
        done(BatchResult(outcomes, marked))

    def fail(self, error: StoreUnavailable) -> None:
        _, _, done, _ = self.waiting.pop(0)
        done(error)

    def _append(self, append: Append) -> Appended:
        command = append.command
        here = command.conversation_id
        self._heads[here] += 1
        seq = self._heads[here]
        entry = Entry(here, seq, EntryKind.MESSAGE_CREATED, append.actor, command.client_id, 1, seq, b"{}")
        self.durable.append(entry)
        return Appended(Ack(here, seq, 1, False), (entry,))


@dataclass
class Watched:
    """A log with everything it says, in the order in which it says it."""

    store: GatedStore = field(default_factory=GatedStore)
    published: list[Entry] = field(default_factory=list)
    answers: dict[str, list[Outcome]] = field(default_factory=lambda: defaultdict(list))
    marks: list[Marked | Refused] = field(default_factory=list)
    broken: list[StoreBroken] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    """How many had been answered whenever it told that a turn was done."""
    log: Log = field(init=False)
    on_publish: Callable[[Sequence[Entry]], None] = lambda entries: None

    def publish(self, entries: Sequence[Entry]) -> None:
        self.on_publish(entries)
        self.published += entries

    def send(self, client_id: str, conversation: int = 1, then: Callable[[], None] = lambda: None) -> None:
        """Submit a message; `then` is called within its reply, and may raise."""

        def reply(outcome: Outcome) -> None:
            self.answers[client_id].append(outcome)
            then()

        self.log.submit(Append(UserId(1), SendMessage(ConversationId(conversation), client_id, "x")), reply)

    def mark(self, seq: int = 1) -> None:
        self.log.mark(Mark(UserId(1), ConversationId(1), seq, seq), self.marks.append)

    def answer(self, client_id: str) -> Outcome:
        """The one it got."""
        [outcome] = self.answers[client_id]
        return outcome

    async def commit(self) -> None:
        """Commit the next batch and let the log hear of it."""
        await self.store.batch()
        self.store.commit()
        await turn()

    async def commit_until(self, answered: int) -> None:
        """Commit batch after batch, until so many were answered."""
        while sum(map(len, self.answers.values())) < answered:
            await self.commit()

    async def fail(self, error: StoreUnavailable) -> None:
        await self.store.batch()
        self.store.fail(error)
        await turn()


async def turn() -> None:
    """Let the loop do all that is ready now, and what that makes ready."""
    for _ in range(3):
        done = asyncio.Event()
        asyncio.get_running_loop().call_soon(done.set)
        await done.wait()


Open = Callable[[Watched, int], Log]


def direct(watched: Watched, inbox: int) -> Log:
    return make_direct(DirectLog, watched, inbox)


def make_direct(kind: type[DirectLog], watched: Watched, inbox: int, store: BatchStore | None = None) -> DirectLog:
    made: Any = kind(
        store or watched.store,
        watched.publish,
        turn_done=lambda: watched.turns.append(sum(map(len, watched.answers.values())) + len(watched.marks)),
        on_broken=watched.broken.append,
        inbox=inbox,
    )
    assert isinstance(made, DirectLog)
    return made


LOGS: dict[str, Open] = {"direct": direct}
INBOX = 500


def watch(open_log: Open, inbox: int = INBOX) -> Watched:
    watched = Watched()
    watched.log = open_log(watched, inbox)
    return watched
