"""Controls: each promise, held against a store that breaks it. A law that lets one of these through proves nothing."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.store import laws
from tests.store.stores import KITS, Store

from parley.protocol import bodies
from parley.protocol.events import Ack
from parley.protocol.types import ConversationId, UserId
from parley.store.interface import Appended
from parley.store.ledger import Ledger


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(KITS["sqlite"], tmp_path).open()
    yield store
    store.close()


Law = Callable[[Store, UserId, ConversationId], None]
LAWS: tuple[Law, ...] = (
    laws.repeats_are_stored_once,
    laws.a_no_op_is_answered_alike_for_ever,
    laws.nothing_is_left_of_a_deleted_message,
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_store_keeps_its_laws(store: Store, ann: UserId, group: ConversationId, law: Law) -> None:
    law(store, ann, group)


def without_unique(store: Store, columns: str) -> None:
    """The table of entries as it is, but for one constraint."""
    [(made,)] = store.rows("SELECT sql FROM sqlite_master WHERE name = 'entries'")
    remade = re.sub(rf",\s*CONSTRAINT \w+ UNIQUE \({columns}\)", "", made)
    assert remade != made
    for statement in ("DROP TABLE entries", remade):
        store.on_writer(lambda connection, statement=statement: connection.exec_driver_sql(statement).close())  # type: ignore[misc]


def test_a_schema_without_unique_client_ids_is_caught(store: Store, ann: UserId) -> None:
    without_unique(store, "client_id, actor_id")
    group = store.group(ann)

    with pytest.raises(AssertionError, match="stored more than once"):
        laws.repeats_are_stored_once(store, ann, group)


def test_answers_that_are_not_kept_are_caught(
    store: Store, ann: UserId, group: ConversationId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A no-op that is only acknowledged happens when it is retried."""

    def forget(_self: Ledger, conversation: Any, _actor: int, _client_id: str, seq: int, message: Any) -> Appended:
        return Appended(Ack(conversation.id, seq, 1, False, message), ())

    monkeypatch.setattr(Ledger, "keep_answer", forget)

    with pytest.raises(AssertionError, match="the retry changed something"):
        laws.a_no_op_is_answered_alike_for_ever(store, ann, group)


def test_a_deletion_that_leaves_the_edits_is_caught(
    store: Store, ann: UserId, group: ConversationId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "emptied_edit", lambda message, number: bodies.edited(message, "second-secret", number))

    with pytest.raises(AssertionError, match="can still be read"):
        laws.nothing_is_left_of_a_deleted_message(store, ann, group)


@pytest.mark.parametrize("mode", ["NORMAL", "OFF"])
def test_a_writer_that_does_not_sync_is_caught(store: Store, mode: str) -> None:
    """Kills do not show it: only a power cut does, or this."""
    store.database.writer.submit(lambda connection: sync(connection.connection.dbapi_connection, mode))

    with pytest.raises(AssertionError, match="commits are not synced"):
        store.on_writer(laws.durable_settings)


def sync(connection: Any, mode: str) -> None:
    connection.execute(f"PRAGMA synchronous = {mode}")


def test_a_store_without_wal_is_caught(store: Store) -> None:
    store.database.writer.submit(lambda connection: journal(connection.connection.dbapi_connection))

    with pytest.raises(AssertionError, match="not in WAL"):
        store.on_writer(laws.durable_settings)


def journal(connection: Any) -> None:
    connection.execute("PRAGMA journal_mode = DELETE").fetchall()


@pytest.mark.parametrize(
    ("stored", "breach"),
    [
        ([(1, "a"), (3, "c")], "hole"),
        ([(1, "a"), (2, "b"), (3, "b")], "more than once"),
        ([(1, "a")], "not there"),
        ([(1, "b"), (2, "a")], "not there"),
    ],
    ids=["a hole", "doubled", "lost", "at another seq"],
)
def test_what_a_crash_must_not_do_is_caught(stored: list[tuple[int, str]], breach: str) -> None:
    with pytest.raises(AssertionError, match=breach):
        laws.acknowledged_is_stored(stored, {"a": 1, "b": 2})


def test_a_reader_by_seq_misses_nothing(store: Store, ann: UserId, group: ConversationId) -> None:
    def read_after(seq: int) -> list[int]:
        return [entry.seq for entry in store.log(group) if entry.seq > seq]

    laws.a_reader_misses_nothing(lambda: store.say(ann, group), read_after)


def test_a_reader_by_an_id_drawn_before_the_commit_skips(tmp_path: Path) -> None:
    """Why nobody may read forward by id: the second writer, with the greater id, commits first."""
    file, ids = tmp_path / "ids.db", count(1)
    slow, quick = (sqlite3.connect(file, isolation_level=None) for _ in range(2))
    slow.execute("CREATE TABLE entries (id INTEGER PRIMARY KEY)")
    drawn = [(slow, next(ids)), (quick, next(ids))]

    def commit() -> None:
        connection, id_ = drawn.pop()
        connection.execute("INSERT INTO entries VALUES (?)", (id_,))

    def read_after(id_: int) -> list[int]:
        return [row[0] for row in quick.execute("SELECT id FROM entries WHERE id > ? ORDER BY id", (id_,))]

    with pytest.raises(AssertionError, match="skipped"):
        laws.a_reader_misses_nothing(commit, read_after)
    slow.close()
    quick.close()
