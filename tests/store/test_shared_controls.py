"""Controls: what the faults of several nodes would do to a store that takes less care. A law that lets one through
proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.store import test_shared_faults as faults
from tests.store.cuts import Commits
from tests.store.faults import FaultyHot
from tests.store.servers import needs
from tests.store.stores import SHARED, Kit, Store, ack_of

from parley.protocol import commands as c
from parley.protocol.types import ConversationId, UserId
from parley.store import batches
from parley.store.attempts import CommitLost
from parley.store.interface import Append, Fence
from parley.store.ledger import Ledger


@pytest.fixture(params=list(SHARED.values()), ids=list(SHARED))
def kit(request: pytest.FixtureRequest) -> Kit:
    assert isinstance(request.param, Kit)
    assert request.param.server is not None
    needs(request.param.server)
    return request.param


@pytest.fixture
def hot(kit: Kit) -> FaultyHot:
    return FaultyHot(kit.hot())


@pytest.fixture
def store(kit: Kit, hot: FaultyHot, tmp_path: Path) -> Iterator[Store]:
    store = Store(kit, tmp_path, hot=hot.hot).open()
    yield store
    store.close()


@pytest.fixture
def commits(store: Store, group: ConversationId, monkeypatch: pytest.MonkeyPatch) -> Commits:
    assert group
    return Commits(store, monkeypatch)


def test_a_lost_commit_that_is_not_looked_up_is_caught(
    store: Store, commits: Commits, ann: UserId, bob: UserId, group: ConversationId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client_ids save it from being doubled, but nobody would be told of the entries."""
    monkeypatch.setattr(Ledger, "is_stored", lambda *_: False)

    with pytest.raises(AssertionError):
        faults.test_a_commit_whose_answer_was_lost_stands(store, commits, ann, bob, group)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_lost_commit_that_is_taken_for_done_is_caught(
    store: Store, commits: Commits, ann: UserId, group: ConversationId, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Right if it was; a message that was acknowledged and never stored if it was not."""

    def guess(self: Any, connection: Connection, batch: Any, apply: Any, **kind: Any) -> Any:
        try:
            return transact(self, connection, batch, apply, **kind)
        except CommitLost as lost:
            self._writer.failed(connection, lost.__cause__)
            return lost.doubt.result

    transact = batches.SqlBatches._transact
    monkeypatch.setattr(batches.SqlBatches, "_transact", guess)
    law: Callable[..., None] = (
        faults.test_a_commit_whose_answer_was_lost_stands
        if end == "commit"
        else faults.test_a_commit_that_never_arrived_is_done_again
    )
    if end == "commit":
        law(store, commits, ann, ann, group)
        return
    with pytest.raises(AssertionError):
        law(store, commits, ann, group)


def test_offsets_that_are_not_compared_are_caught(
    store: Store, ann: UserId, group: ConversationId, monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_only(_connection: Connection, _fences: Sequence[Fence]) -> None:
        """Whoever comes last is right."""

    monkeypatch.setattr(batches, "move_offsets", set_only)

    with pytest.raises(AssertionError):
        faults.test_a_fence_that_does_not_hold_writes_nothing(store, ann, group)


def test_heads_that_are_not_locked_are_caught(store: Store, hot: FaultyHot, ann: UserId, group: ConversationId) -> None:
    """Another node writes between our reading of the head and our own entry: only the UNIQUE stands then, and the
    batch has to be decided again. With the lock the other one waits, and nothing is decided twice."""
    other, decided = store.another(), 0
    unlocked = _without_locks(hot)

    def meddle(name: str, _: Any) -> None:
        nonlocal decided
        if name == "insert_messages":
            decided += 1
            if decided == 1:
                other.write(Append(ann, c.SendMessage(group, "theirs", "hello")))

    unlocked.before = meddle
    store.batches._hot = unlocked.hot
    assert ack_of(store.write(Append(ann, c.SendMessage(group, "ours", "hello")))[0]).seq == 4
    other.close()

    assert decided == 2, "the lock was there after all"


def _without_locks(hot: FaultyHot) -> FaultyHot:
    class Unlocked:
        def __getattr__(self, name: str) -> Any:
            return getattr(hot, name)

        def load(self, cursor: Any, ids: Any, pairs: Any) -> Any:
            return _Plain(cursor).load(hot, ids, pairs)

    return FaultyHot(Unlocked())


class _Plain:
    """A cursor that leaves FOR UPDATE out."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, sql: Any, *values: Any, **options: Any) -> Any:
        words = sql.decode() if isinstance(sql, bytes) else sql
        return self._cursor.execute(
            words.replace("FOR NO KEY UPDATE", "").replace("FOR UPDATE", ""), *values, **options
        )

    def load(self, hot: FaultyHot, ids: Any, pairs: Any) -> Any:
        return hot._inner.conversations(self, ids), hot._inner.roles(self, pairs)
