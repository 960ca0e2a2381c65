"""SQLite as it is opened: synced, in WAL, one writer, readers that cannot write, a folder that is locked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text
from sqlalchemy.exc import DatabaseError
from tests.store.laws import durable_settings
from tests.store.stores import KITS, Store

from parley.protocol.commands import SendMessage
from parley.protocol.types import ConversationId, UserId
from parley.store import sqlite
from parley.store.failures import unavailable
from parley.store.interface import Append, BatchResult, StoreBroken, StoreUnavailable
from parley.store.sqlite import BUSY_MS, DataFolderInUse, FolderLock, reader_engine, writer_engine
from parley.store.tables import meta


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(KITS["sqlite"], tmp_path).open()
    yield store
    store.close()


def pragma(engine: Engine, name: str) -> Any:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_every_commit_is_synced(store: Store) -> None:
    """Of the connection that writes, as it is while the server runs."""
    store.on_writer(durable_settings)


def test_readers_cannot_write_and_never_checkpoint(tmp_path: Path, store: Store) -> None:
    engine = reader_engine(tmp_path / "parley.db", 1)
    assert (pragma(engine, "query_only"), pragma(engine, "wal_autocheckpoint")) == (1, 0)
    engine.dispose()


async def test_a_question_that_writes_is_refused(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="readonly"):
        await store.database.read(lambda connection: connection.execute(insert(meta).values(key="a", value="b")))
    assert store.rows("SELECT * FROM meta WHERE key = 'a'") == []


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("entries", {"actor_id", "client_id"}),
        ("entries", {"conversation_id", "seq"}),
        ("conversations", {"low_user", "high_user"}),
        ("conversations", {"name"}),
        ("users", {"username_key"}),
    ],
)
def test_uniqueness_is_in_the_schema(store: Store, table: str, columns: set[str]) -> None:
    """Not in a cache and not in the code: the database itself refuses the second."""
    indexes = [row[1] for row in store.rows(f"PRAGMA index_list({table})") if row[2] and not row[4]]
    unique = [{row[2] for row in store.rows(f"PRAGMA index_info({index})")} for index in indexes]

    assert columns in unique


# Faults of the disk


def fill(store: Store, pages: int) -> None:
    """The file may grow by so many pages; the PRAGMA speaks for the connection of the writer."""
    [(now,)] = store.rows("PRAGMA page_count")
    set_pragma(store, f"max_page_count = {now + pages}")


def set_pragma(store: Store, what: str) -> None:
    store.on_writer(lambda connection: connection.exec_driver_sql(f"PRAGMA {what}").close())


def batch(actor: UserId, here: ConversationId, name: str) -> list[Append]:
    return [Append(actor, SendMessage(here, f"{name}{n}", "x" * 1000)) for n in range(100)]


@pytest.mark.parametrize("pages", [0, 1, 7, 20])
def test_a_full_disk_refuses_and_goes_on_when_there_is_room(
    store: Store, ann: UserId, group: ConversationId, pages: int
) -> None:
    """Wherever in the batch it was full: nothing of it is there, and the same batch goes through afterwards."""
    set_pragma(store, "cache_size = 5")
    before = store.everything()
    fill(store, pages)
    assert type(store.attempt(batch(ann, group, "c"))) is StoreUnavailable
    assert store.everything() == before

    fill(store, 10_000)
    assert isinstance(store.attempt(batch(ann, group, "c")), BatchResult)
    assert [entry.seq for entry in store.log(group)] == list(range(1, 103))


def test_a_lock_that_somebody_holds_is_waited_for_and_then_refused(
    store: Store, tmp_path: Path, ann: UserId, group: ConversationId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup tool, an administrator's shell: when they let go, everything goes on."""
    monkeypatch.setattr(sqlite, "BUSY_MS", 20)
    other = writer_engine(tmp_path / "parley.db")
    with other.connect() as connection, connection.begin():
        assert type(store.attempt(batch(ann, group, "c"))) is StoreUnavailable
    other.dispose()

    assert isinstance(store.attempt(batch(ann, group, "c")), BatchResult)


async def test_a_lock_that_somebody_holds_does_not_hold_up_the_event_loop(
    store: Store, tmp_path: Path, ann: UserId, group: ConversationId
) -> None:
    """The batch is decided on the loop, but only the thread may wait; when they let go, it goes through."""
    loop, answer = asyncio.get_running_loop(), asyncio.Event()
    results: list[BatchResult | StoreUnavailable] = []

    def done(result: BatchResult | StoreUnavailable) -> None:
        results.append(result)
        loop.call_soon_threadsafe(answer.set)

    other = writer_engine(tmp_path / "parley.db")
    with other.connect() as connection, connection.begin():
        begun = loop.time()
        store.batches.submit(batch(ann, group, "c"), [], done)
        assert loop.time() - begun < BUSY_MS / 2000
    await answer.wait()
    other.dispose()

    assert isinstance(results[0], BatchResult)


def test_a_damaged_file_is_found_out(store: Store, ann: UserId, group: ConversationId) -> None:
    """What cannot be read is not answered with something else."""
    store.attempt(batch(ann, group, "c"))
    store.close()
    file = store.folder / "parley.db"
    content = bytearray(file.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    file.write_bytes(content)
    engine = writer_engine(file)

    with pytest.raises(DatabaseError, match="malformed") as caught, engine.connect() as connection:
        connection.execute(text("SELECT body FROM entries")).all()

    assert type(unavailable(caught.value)) is StoreBroken
    engine.dispose()
    file.unlink()
    store.open()


# The data folder


def test_a_data_folder_has_one_server(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "data")
    with pytest.raises(DataFolderInUse, match="data"):
        FolderLock(tmp_path / "data")
    lock.release()

    FolderLock(tmp_path / "data").release()


def test_a_killed_server_lets_go_of_its_folder(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from parley.store.sqlite import FolderLock;"
        "lock = FolderLock(pathlib.Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(DataFolderInUse):
            FolderLock(tmp_path)
        process.kill()

    FolderLock(tmp_path).release()
