"""Conformance: a command that cannot be written fails alone, and a batch that cannot be written leaves nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.store.faults import FaultyHot, failing, inserts, io_error, nothing
from tests.store.stores import Kit, Store, ack_of, refusal_of

from parley.protocol import commands as c
from parley.protocol.errors import Code
from parley.protocol.types import ConversationId, MessageId, UserId
from parley.store import rules
from parley.store.interface import Append, BatchResult, Mark, Marked, Outcome, Refused, StoreBroken, StoreUnavailable

STATEMENTS = ("load", "insert_entries", "insert_messages", "bump", "move_marks")
POISON = {
    "lone surrogate": {"text": "\ud800"},
    "wrong type": {"text": object()},
}


@pytest.fixture
def hot(kit: Kit) -> FaultyHot:
    return FaultyHot(kit.hot())


@pytest.fixture
def store(kit: Kit, hot: FaultyHot, tmp_path: Path) -> Iterator[Store]:
    store = Store(kit, tmp_path, hot=hot.hot).open()
    yield store
    store.close()


def send(actor: UserId, here: ConversationId, client_id: str, **more: Any) -> Append:
    return Append(actor, c.SendMessage(here, client_id, **{"text": "hello", **more}))


def seqs(outcomes: list[Outcome]) -> list[int | str]:
    return [outcome.spec.name if isinstance(outcome, Refused) else ack_of(outcome).seq for outcome in outcomes]


def is_poison(statement: str, rows: Any) -> bool:
    return inserts(statement, rows, "poison")


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_what_the_database_cannot_take_fails_alone(
    store: Store, ann: UserId, bob: UserId, group: ConversationId, poison: dict[str, Any]
) -> None:
    batch = [send(ann, group, "a"), send(bob, group, "bad", **poison), send(ann, group, "b")]

    result = store.attempt(batch, [Mark(bob, group, 3, 3)])

    assert isinstance(result, BatchResult)
    assert seqs(result.outcomes) == [3, "internal", 4]
    assert isinstance(result.marks[0], Marked)
    assert [entry.seq for entry in store.log(group)] == [1, 2, 3, 4]


@pytest.mark.parametrize("id_", [1 << 63, 1 << 70, -1])
def test_an_id_that_no_engine_can_hold_is_of_no_message(
    store: Store, ann: UserId, group: ConversationId, id_: int
) -> None:
    outcomes = store.write(send(ann, group, "a"), send(ann, group, "b", reply_to=MessageId(id_)), send(ann, group, "c"))

    assert seqs(outcomes) == [3, "unknown_message", 4]


@pytest.mark.parametrize("error", [sqlite3.DataError("too big"), sqlite3.IntegrityError("a check"), KeyError("ours")])
def test_a_statement_that_fails_for_one_row_fails_alone(
    store: Store, hot: FaultyHot, ann: UserId, bob: UserId, group: ConversationId, error: Exception
) -> None:
    """Whichever way the engine says it, and also when the fault is our own."""
    hot.before = failing(error, is_poison)

    outcomes = store.write(send(ann, group, "a"), send(bob, group, "poison"), send(ann, group, "b"))

    assert seqs(outcomes) == [3, "internal", 4]


def test_a_rule_that_fails_fails_alone(
    store: Store, ann: UserId, group: ConversationId, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: Any) -> Outcome:
        raise ZeroDivisionError

    monkeypatch.setitem(cast("dict[type, Any]", rules.RULES), c.LeaveConversation, wrong)

    outcomes = store.write(send(ann, group, "a"), Append(ann, c.LeaveConversation(group, "x")), send(ann, group, "b"))

    assert seqs(outcomes) == [3, "internal", 4]


def test_repeats_among_what_fails_are_still_repeats(
    store: Store, hot: FaultyHot, ann: UserId, group: ConversationId
) -> None:
    store.write(send(ann, group, "old"))
    hot.before = failing(sqlite3.DataError("too big"), is_poison)

    outcomes = store.write(
        send(ann, group, "old"), send(ann, group, "new"), send(ann, group, "poison"), send(ann, group, "new")
    )

    assert seqs(outcomes) == [3, 4, "internal", 4]
    assert [ack_of(outcomes[n]).duplicate for n in (0, 1, 3)] == [True, False, True]


def test_a_disk_that_fills_among_what_fails_keeps_what_was_committed(
    store: Store, hot: FaultyHot, ann: UserId, group: ConversationId
) -> None:
    """Each is committed by itself then: what is durable is acknowledged, the rest may come again."""

    def full(statement: str, rows: Any) -> None:
        if is_poison(statement, rows):
            raise sqlite3.DataError("too big")
        if inserts(statement, rows, "b") and len(rows) == 1:
            raise io_error("SQLITE_FULL")

    hot.before = full
    batch = [send(ann, group, id_) for id_ in ("a", "poison", "b", "c")]
    result = store.attempt(batch, [Mark(ann, group, 3, 3)])

    assert isinstance(result, BatchResult)
    assert seqs(result.outcomes) == [3, "internal", "storage_unavailable", "storage_unavailable"]
    assert result.marks == [Refused(Code.STORAGE_UNAVAILABLE)]
    assert [entry.client_id for entry in store.log(group)[2:]] == ["a"]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_batch_that_cannot_be_written_leaves_nothing(
    store: Store, hot: FaultyHot, ann: UserId, bob: UserId, group: ConversationId, statement: str
) -> None:
    """At whichever statement the disk is full; the same batch goes through when there is room again."""
    message = store.say(ann, group)
    before = store.everything()
    batch = [
        Append(ann, c.EditMessage(group, "e", message, "better")),
        Append(ann, c.RemoveMember(group, "out", bob)),
        Append(ann, c.ChangeConversation(group, "t", title="Ours")),
        send(ann, group, "s"),
    ]
    hot.before = failing(io_error("SQLITE_FULL"), lambda name, _: name == statement)

    failed = store.attempt(batch)
    hot.before = nothing

    assert type(failed) is StoreUnavailable
    assert store.everything() == before
    assert seqs(store.write(*batch)) == [4, 5, 6, 7]


@pytest.mark.parametrize(
    ("error", "broken"),
    [
        (io_error("SQLITE_FULL"), False),
        (io_error("SQLITE_BUSY"), False),
        (io_error("SQLITE_IOERR_WRITE"), False),
        (io_error("SQLITE_IOERR_FSYNC"), True),
        (io_error("SQLITE_IOERR_DIR_FSYNC"), True),
        (io_error("SQLITE_CORRUPT", sqlite3.DatabaseError), True),
        (io_error("SQLITE_CORRUPT_INDEX", sqlite3.DatabaseError), True),
        (io_error("SQLITE_NOTADB", sqlite3.DatabaseError), True),
    ],
    ids=lambda it: getattr(it, "sqlite_errorname", None),
)
def test_only_what_cannot_be_trusted_any_more_is_broken(
    store: Store, hot: FaultyHot, ann: UserId, group: ConversationId, error: sqlite3.Error, broken: bool
) -> None:
    """Once is enough for it to be broken: it is not tried again to see whether it goes better."""
    hot.before = failing(error, lambda name, _: name == "insert_messages", once=broken)

    failed = store.attempt([send(ann, group, "a")])

    assert type(failed) is (StoreBroken if broken else StoreUnavailable)


def test_a_broken_store_writes_nothing_more(
    store: Store, ann: UserId, group: ConversationId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed fsync the next one may succeed and prove nothing: the kernel can have dropped the pages."""
    with monkeypatch.context() as patch:
        patch.setattr(store.engine.dialect, "do_commit", failing_commit("SQLITE_IOERR_FSYNC"))
        first = store.attempt([send(ann, group, "a")])

    second = store.attempt([send(ann, group, "b")], [Mark(ann, group, 2, 2)])

    assert (type(first), type(second)) == (StoreBroken, StoreBroken)
    store.reopen()
    assert [entry.client_id for entry in store.log(group)[2:]] == []


def test_a_commit_that_fails_leaves_nothing(
    store: Store, ann: UserId, group: ConversationId, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.everything()
    with monkeypatch.context() as patch:
        patch.setattr(store.engine.dialect, "do_commit", failing_commit("SQLITE_FULL"))
        failed = store.attempt([send(ann, group, "a")])

    assert type(failed) is StoreUnavailable
    assert store.everything() == before
    assert seqs(store.write(send(ann, group, "a"))) == [3]


def failing_commit(name: str) -> Any:
    def do_commit(_connection: Any) -> None:
        raise io_error(name)

    return do_commit


def test_the_refusal_of_a_poisoned_command_is_not_kept(
    store: Store, hot: FaultyHot, ann: UserId, group: ConversationId
) -> None:
    """When what was wrong is mended, its retry goes through."""
    hot.before = failing(sqlite3.DataError("too big"), is_poison)
    assert refusal_of(store.write(send(ann, group, "poison"))[0]) is Code.INTERNAL

    hot.before = nothing
    assert seqs(store.write(send(ann, group, "poison"))) == [3]
