"""A move brings over everything, goes on after a cut, and lets nobody serve half a copy or a history that has left."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, Executable, create_engine, func, insert, select, text, update
from tests.move.conftest import ENTRIES, PEOPLE, scalar

from parley.move import copying
from parley.move.run import CannotMove, Moved, move, release
from parley.store import tables as t
from parley.store.moved import DatabaseMoved, refuse_if_moved
from parley.store.sqlite import DataFolderInUse, FolderLock

NOW = 1_700_000_000_001
NEWCOMER = insert(t.users).values(username="new", username_key="new", display_name="N", role="member", created_at=1)


def run(source: str, target: str, *, replace: bool = False) -> Moved:
    return move(source, target, now_ms=NOW, verify=True, replace=replace, tell=lambda table, rows: None)


def serve(url: str) -> None:
    """What a server asks before it starts."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection, connection.begin():
            refuse_if_moved(connection)
    finally:
        engine.dispose()


def change(url: str, statement: Executable) -> None:
    engine = create_engine(url)
    with engine.connect() as connection, connection.begin():
        connection.execute(statement)
    engine.dispose()


def test_everything_is_there_and_the_same(source: str, target: str) -> None:
    moved = run(source, target)

    assert moved.comparison is not None
    assert moved.comparison.problems == []
    assert moved.comparison.rows["users"] == PEOPLE
    assert moved.comparison.rows["entries"] == ENTRIES
    assert moved.comparison.messages == ENTRIES - ENTRIES // 50
    epoch = select(t.meta.c.value).where(t.meta.c.key == "epoch")
    assert scalar(source, epoch) == scalar(target, epoch)
    serve(target)
    with pytest.raises(DatabaseMoved, match="was moved to"):
        serve(source)


def test_and_back_again(source: str, target: str, tmp_path: Path) -> None:
    run(source, target)
    (tmp_path / "back").mkdir()
    back = f"sqlite:///{tmp_path / 'back' / 'parley.db'}"

    moved = run(target, back)

    assert moved.comparison is not None
    assert moved.comparison.problems == []
    serve(back)


def test_back_onto_the_database_it_came_from(source: str, target: str) -> None:
    run(source, target)
    change(
        target,
        NEWCOMER,
    )

    with pytest.raises(CannotMove, match="--replace"):
        run(target, source)
    moved = run(target, source, replace=True)

    assert moved.comparison is not None
    assert moved.comparison.problems == []
    assert scalar(source, select(func.count()).select_from(t.users)) == PEOPLE + 1
    serve(source)


def test_new_rows_get_ids_of_their_own(source: str, target: str) -> None:
    """PostgreSQL's sequences know nothing of the ids that were brought."""
    run(source, target)

    change(
        target,
        NEWCOMER,
    )
    change(target, insert(t.conversations).values(kind="group", join_policy="invite", created_at=1))

    assert scalar(target, select(func.max(t.users.c.id))) == PEOPLE * 3 + 1
    assert scalar(target, select(func.max(t.conversations.c.id))) == 103


@pytest.mark.parametrize("after", [1, 2, 4, 7])
def test_a_move_that_was_cut_goes_on(source: str, target: str, after: int) -> None:
    class Cut(Exception):
        pass

    pages = 0

    def cut(table: str, rows: int) -> None:
        nonlocal pages
        pages += 1
        if pages == after:
            raise Cut

    with pytest.raises(Cut):
        move(source, target, now_ms=NOW, verify=True, replace=False, tell=cut)
    with pytest.raises(DatabaseMoved, match="was not finished"):
        serve(target)
    with pytest.raises(DatabaseMoved, match="was moved to"):
        serve(source)
    whole = run(source, target)

    assert whole.comparison is not None
    assert whole.comparison.problems == []
    assert whole.rows < sum(whole.comparison.rows.values())
    serve(target)


@pytest.mark.parametrize(
    "damage",
    [
        update(t.entries).where(t.entries.c.client_id == "c-1234").values(body='{"text":"other"}'),
        t.entries.delete().where(t.entries.c.client_id == "c-2499"),
        update(t.users).where(t.users.c.id == 3).values(display_name="someone else"),
        update(t.reactions).where(t.reactions.c.emoji == "A").values(emoji="Á"),
        update(t.conversations).where(t.conversations.c.id == 100).values(last_seq=1),
    ],
    ids=["text", "missing", "name", "emoji", "head"],
)
def test_the_comparison_sees_every_difference(
    source: str, target: str, damage: Executable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the copy stays marked as unfinished."""
    honest = copying.go_on_counting

    def damaged(connection: Connection) -> None:
        honest(connection)
        with connection.begin():
            connection.execute(damage)

    monkeypatch.setattr("parley.move.run.go_on_counting", damaged)
    moved = run(source, target)

    assert moved.comparison is not None
    assert moved.comparison.problems
    with pytest.raises(DatabaseMoved, match="was not finished"):
        serve(target)


def test_a_server_on_the_source_is_in_the_way(source: str, target: str) -> None:
    lock = FolderLock(Path(source.removeprefix("sqlite:///")).parent)
    try:
        with pytest.raises(DataFolderInUse):
            run(source, target)
    finally:
        lock.release()


def test_a_target_that_is_in_use_is_left_alone(source: str, target: str, tmp_path: Path) -> None:
    run(source, target)
    (tmp_path / "third").mkdir()
    third = f"sqlite:///{tmp_path / 'third' / 'parley.db'}"
    release(source)
    run(source, third)

    with pytest.raises(CannotMove, match="already holds accounts"):
        run(third, target)
    with pytest.raises(CannotMove, match="already holds accounts"):
        run(third, target, replace=True)
    assert scalar(target, select(func.count()).select_from(t.users)) == PEOPLE


def test_a_released_source_may_be_served_again(source: str, target: str) -> None:
    run(source, target)

    release(source)

    serve(source)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "not the address"),
        ("oracle://x", "a database is named as"),
        ("postgresql://u:secret@h/d", "a database is named as"),
        ("sqlite://", "named by its file"),
    ],
)
def test_a_bad_address_is_named_without_its_password(source: str, url: str, said: str) -> None:
    with pytest.raises(CannotMove, match=said) as caught:
        run(source, url)
    assert "secret" not in str(caught.value)


def test_the_same_database_twice(source: str) -> None:
    with pytest.raises(CannotMove, match="same database"):
        run(source, source)


def test_an_older_schema_is_named(source: str, target: str) -> None:
    change(source, text("UPDATE alembic_version SET version_num = '0001'"))

    with pytest.raises(Exception, match="older schema"):
        run(source, target)
