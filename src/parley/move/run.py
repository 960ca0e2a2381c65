"""The move itself: both databases opened and held, what is missing brought over, both compared, and the source marked
as left."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from sqlalchemy import URL, Connection, Engine, exists, make_url, select
from sqlalchemy.exc import ArgumentError

from parley.addresses import masked
from parley.move.comparing import Comparison, compare
from parley.move.copying import Tell, copy, copy_facts, empty, go_on_counting
from parley.store import moved as marks
from parley.store.migrate import check, upgrade
from parley.store.shared import migration_engine
from parley.store.sql import nodes
from parley.store.sql.fetch import epoch
from parley.store.sqlite import FolderLock, writer_engine
from parley.store.tables import entries, users

DRIVERS = ("sqlite", "postgresql+psycopg", "mariadb+pymysql", "mysql+pymysql")


class CannotMove(Exception):
    """Nothing was changed, or what was is named; the text says what to do."""


class Moved(msgspec.Struct, frozen=True):
    """`rows`: brought by this run. `comparison`: None where none was asked for."""

    rows: int
    comparison: Comparison | None


def move(source_url: str, target_url: str, *, now_ms: int, verify: bool, replace: bool, tell: Tell) -> Moved:
    """Blocks until it is over. Give it again after a cut: it goes on where it was.

    `verify`: compare both afterwards, row by row, and do not let go of the target if they differ. `replace`: what the
    target holds was left behind by an earlier move, and is thrown away. Raises CannotMove, SchemaMismatch,
    DataFolderInUse, and the driver's errors.
    """
    if _parsed(source_url) == _parsed(target_url):
        raise CannotMove("The source and the target are the same database.")
    with held(source_url) as source_engine, held(target_url) as target_engine:
        check(source_engine)
        upgrade(target_engine, now_ms=now_ms)
        with source_engine.connect() as source, target_engine.connect() as target:
            _begin(source, target, source_url, target_url, replace=replace)
            rows = copy(source, target, tell)
            copy_facts(source, target, marks.OWN)
            go_on_counting(target)
            comparison = compare(source, target, marks.OWN) if verify else None
            if comparison is None or not comparison.problems:
                with target.begin():
                    marks.forget(target, marks.MOVING_FROM)
    return Moved(rows, comparison)


def release(source_url: str) -> None:
    """Let a database that was moved, or began to be, be served again."""
    with held(source_url) as engine, engine.connect() as connection, connection.begin():
        marks.forget(connection, marks.MOVED_TO)


@contextlib.contextmanager
def held(url: str) -> Iterator[Engine]:
    """The database, with nobody else at work on it."""
    parsed = _parsed(url)
    lock = None
    if parsed.drivername == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise CannotMove("An SQLite database is named by its file: sqlite:///data/parley.db")
        file = Path(parsed.database)
        lock = FolderLock(file.parent)
        engine = writer_engine(file)
    else:
        engine = migration_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()
        if lock is not None:
            lock.release()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise CannotMove(f"{masked(url)} is not the address of a database.") from None
    if parsed.drivername not in DRIVERS:
        raise CannotMove(f"{masked(url)}: a database is named as {', '.join(f'{name}:…' for name in DRIVERS)}.")
    return parsed


def _begin(source: Connection, target: Connection, source_url: str, target_url: str, *, replace: bool) -> None:
    """Mark both, the source first: from then on no node starts on either."""
    with source.begin():
        name = epoch(source)
        if marks.read(source, marks.MOVING_FROM):
            raise CannotMove("The source is itself an unfinished copy of another database.")
        earlier = marks.read(source, marks.MOVED_TO)
        whither = masked(target_url)
        if earlier not in {None, whither}:
            raise CannotMove(f"The source was already moved to {earlier}. `--release` takes that mark away.")
    _refuse_nodes(source, "source")
    _refuse_nodes(target, "target")
    _make_room(target, f"{masked(source_url)} ({name})", replace=replace)
    with source.begin():
        marks.write(source, marks.MOVED_TO, whither)
    # One that started before it could see the mark has written its row by now.
    _refuse_nodes(source, "source")


def _make_room(target: Connection, whence: str, *, replace: bool) -> None:
    with target.begin():
        begun = marks.read(target, marks.MOVING_FROM)
        left = marks.read(target, marks.MOVED_TO)
        used = target.scalar(select(exists().where(users.c.id > 0))) or target.scalar(
            select(exists().where(entries.c.id > 0))
        )
    if begun == whence:
        return
    if begun:
        raise CannotMove(f"The target holds a part of {begun}, not of this source. Give an empty database.")
    if used and not (replace and left):
        hint = " It was moved away itself: `--replace` throws away what it holds." if left else ""
        raise CannotMove(f"The target already holds accounts or messages. Give an empty database.{hint}")
    # Before the first row goes: a cut in here leaves a target that this very move will empty again.
    empty(target)
    with target.begin():
        marks.write(target, marks.MOVING_FROM, whence)


def _refuse_nodes(connection: Connection, side: str) -> None:
    """An SQLite file is held by its folder's lock; of another database the nodes' own rows tell."""
    if connection.dialect.name == "sqlite":
        return
    with connection.begin():
        running = nodes.live(connection)
    if running:
        which = ", ".join(str(node.id) for node in running)
        raise CannotMove(
            f"On the {side} these nodes are at work, or were until less than a minute ago: {which}."
            " Stop them; one that was killed is forgotten after a minute."
        )
