"""However commands are cut into batches, and whichever way a batch is decided, they come to the same."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from tests.store.stores import KITS, Store, ack_of

from parley.protocol import commands as c
from parley.protocol.errors import Code
from parley.protocol.types import EntryKind, MessageId, Role
from parley.store.batches import Batch
from parley.store.interface import Append, BatchResult, Outcome, Refused

ACTIONS = (
    "send",
    "send",
    "send",
    "reply",
    "edit",
    "delete",
    "react",
    "unreact",
    "pin",
    "leave",
    "add",
    "own",
    "refused",
)

Step = tuple[str, int, int, int]
"""What, by whom, about which message, under which of a few client ids, so that many are repeats."""
steps = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 2), st.integers(0, 3), st.integers(0, 9))
batches = st.lists(st.lists(steps, min_size=1, max_size=8), min_size=1, max_size=6)


@dataclass
class Run:
    """One store with a new group in it; ids that differ between stores are told by seq."""

    store: Store
    name: str
    said: list[MessageId] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.people = [self.store.user(f"{self.name}.{n}") for n in range(3)]
        self.group = self.store.group(*self.people)

    def append(self, step: Step) -> Append:
        what, who, which, client = step
        id_, user = f"{self.name}.{client}", self.people[(who + which) % 3]
        message = self.said[which % len(self.said)] if self.said else MessageId(1)
        commands: dict[str, c.Durable] = {
            "send": c.SendMessage(self.group, id_, f"text {client}"),
            "reply": c.SendMessage(self.group, id_, "re", reply_to=message),
            "edit": c.EditMessage(self.group, id_, message, "better"),
            "delete": c.DeleteMessage(self.group, id_, message),
            "react": c.AddReaction(self.group, id_, message, "👍"),
            "unreact": c.RemoveReaction(self.group, id_, message, "👍"),
            "pin": c.AddPin(self.group, id_, message),
            "leave": c.LeaveConversation(self.group, id_),
            "add": c.AddMember(self.group, id_, user),
            "own": c.ChangeRole(self.group, id_, user, Role.OWNER),
            "refused": c.SendMessage(self.group, id_, "too fast"),
        }
        refusal = Code.RATE_LIMITED if what == "refused" else None
        return Append(self.people[who], commands[what], refusal=refusal)

    def heard(self, outcomes: list[Outcome]) -> list[object]:
        """What was answered, without ids."""
        told: list[object] = []
        created = [entry for entry in self.store.log(self.group) if entry.kind is EntryKind.MESSAGE_CREATED]
        seqs = {entry.message_id: entry.seq for entry in created if entry.message_id is not None}
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                told.append(outcome.spec.name)
                continue
            ack = ack_of(outcome)
            told.append((ack.seq, ack.duplicate, seqs.get(ack.message_id or MessageId(0))))
        self.said = list(seqs)
        return told

    def result(self) -> list[object]:
        """The log and what stands beside it, without ids."""
        about = {id_: f"#{n}" for n, id_ in enumerate(self.said)}
        who: dict[int | None, int] = {user: n for n, user in enumerate(self.people)}
        log = [
            (entry.seq, entry.kind, who[entry.by], entry.ordinal, about.get(entry.message_id or MessageId(0)))
            for entry in self.store.log(self.group)
        ]
        members = self.store.rows(
            "SELECT user_id, role, joined_seq FROM members WHERE conversation_id = :c", c=self.group
        )
        marks = self.store.rows(
            "SELECT user_id, read_seq, read_ordinal, delivered_seq FROM marks WHERE conversation_id = :c", c=self.group
        )
        return [
            log,
            sorted((who[user], *rest) for user, *rest in members),
            sorted((who[u], *rest) for u, *rest in marks),
        ]


def as_it_comes(run: Run, appends: list[Append]) -> list[Outcome]:
    return run.store.write(*appends)


def one_by_one(run: Run, appends: list[Append]) -> list[Outcome]:
    return [outcome for append in appends for outcome in run.store.write(append)]


def as_a_repeat(run: Run, appends: list[Append]) -> list[Outcome]:
    """The way that is taken when a repeat was met."""
    answers: queue.SimpleQueue[BatchResult] = queue.SimpleQueue()

    def job(connection: Connection) -> None:
        batches = run.store.batches
        answers.put(batches._transact(connection, Batch(appends), batches._apply, optimistic=False, doubt=None))

    run.store.database.writer.submit(job)
    return answers.get(timeout=30).outcomes


@pytest.fixture(scope="module", params=list(KITS))
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    with ExitStack() as stack:
        opened = [Store(KITS[request.param], tmp_path_factory.mktemp("paths")).open() for _ in range(3)]
        for store in opened:
            stack.callback(store.close)
        yield opened


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(taken=batches)
def test_every_way_to_write_a_batch_comes_to_the_same(stores: list[Store], taken: list[list[Step]]) -> None:
    """In one transaction, in one that looks for repeats first, and each command by itself."""
    name = stores[0].client_id()
    runs = [Run(store, name) for store in stores]
    ways = [partial(way, run) for way, run in zip((as_it_comes, as_a_repeat, one_by_one), runs, strict=True)]
    for batch in taken:
        outcomes = [way([run.append(step) for step in batch]) for way, run in zip(ways, runs, strict=True)]
        first, *others = [run.heard(it) for run, it in zip(runs, outcomes, strict=True)]
        assert all(other == first for other in others)

    made, *others_made = [run.result() for run in runs]
    assert all(other == made for other in others_made)
