"""The migrations make what store/tables.py says, once, with a copy before; a database that is not ours is refused."""

from __future__ import annotations

import io
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Dialect, Engine, select, text
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from parley.store import migrate
from parley.store.migrate import SchemaMismatch, check, ddl, head, upgrade
from parley.store.schema import metadata
from parley.store.sqlite import writer_engine
from parley.store.tables import conversations, meta


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "100% parley.db"


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    engine = writer_engine(file)
    yield engine
    engine.dispose()


def schema(engine: Engine) -> dict[str, list[str]]:
    with engine.connect() as connection, connection.begin():
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return {row.name: clauses(row.sql) for row in rows if row.name != "alembic_version"}


def clauses(statement: object) -> list[str]:
    """The columns and constraints of a statement, sorted: a column that came later stands at the end of the text."""
    one_line = re.sub(r"\s+", " ", str(statement)).strip()
    head, _, rest = one_line.partition("(")
    inside, _, tail = rest.rpartition(")")
    return [head.strip(), *sorted(part.strip() for part in re.split(r",(?![^(]*\))", inside)), tail.strip()]


def at_revision(engine: Engine, revision: str) -> None:
    with engine.connect() as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": revision})


def test_the_migrated_schema_is_the_tables(engine: Engine, tmp_path: Path) -> None:
    """Clause by clause on SQLite, so that WITHOUT ROWID and partial indexes count too."""
    upgrade(engine, now_ms=1)
    with engine.connect() as connection, connection.begin():
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []

    other = writer_engine(tmp_path / "other.db")
    with other.connect() as connection, connection.begin():
        metadata.create_all(connection)
    assert schema(engine) == schema(other)
    other.dispose()


@pytest.mark.parametrize("name", ["postgresql", "mysql"])
def test_the_migrations_write_the_same_for_other_engines(name: str) -> None:
    """Their SQL is what SQLAlchemy makes of the tables for that engine."""
    dialect: Dialect = {"postgresql": postgresql, "mysql": mysql}[name].dialect()
    output = io.StringIO()
    ddl(name, output)

    written = re.sub(r"\s+", " ", output.getvalue())
    tables = metadata.sorted_tables
    made: list[object] = [CreateTable(table).compile(dialect=dialect) for table in tables]
    made += [CreateIndex(index).compile(dialect=dialect) for table in tables for index in table.indexes]
    wanted = {clause for statement in made for clause in clauses(statement)}
    assert [clause for clause in sorted(wanted) if clause not in written] == []


def test_a_new_database_has_its_epoch_and_its_lobby(engine: Engine) -> None:
    """Once: a second start changes neither."""
    first = [upgrade(engine, now_ms=now) for now in (1, 2)]
    assert first == [None, None]
    check(engine)
    with engine.connect() as connection, connection.begin():
        epoch = connection.scalars(select(meta.c.value).where(meta.c.key == "epoch")).one()
        lobby = connection.execute(select(conversations)).one()
    assert re.fullmatch(r"[0-9a-f]{32}", epoch)
    assert (lobby.kind, lobby.name, lobby.lobby, lobby.join_policy, lobby.title) == (
        "room",
        "lobby",
        True,
        "open",
        None,
    )
    assert (lobby.last_seq, lobby.member_count, lobby.created_at) == (0, 0, 1)


def test_a_copy_is_made_before_an_upgrade(
    engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And only then; it holds what the database held."""
    upgrade(engine, now_ms=1)
    now = migrate.head()
    scripts = next_version(tmp_path / "scripts", "op.create_table('t', sa.Column('id', sa.Integer()))")
    monkeypatch.setattr(migrate, "MIGRATIONS", scripts)
    with pytest.raises(SchemaMismatch, match=f"older schema {now}"):
        check(engine)

    copy = upgrade(engine, now_ms=2)
    assert copy == file.with_name(file.name + ".before-9999")
    assert "t" in schema(engine)
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(now,)]
        assert connection.execute("SELECT name FROM conversations").fetchall() == [("lobby",)]
    connection.close()
    assert upgrade(engine, now_ms=3) is None


def test_a_migration_that_fails_leaves_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The schema and its number are changed together or not at all."""
    upgrade(engine, now_ms=1)
    before = schema(engine)
    wrong = "op.create_table('t', sa.Column('id', sa.Integer())); op.execute('SELECT nonsense')"
    monkeypatch.setattr(migrate, "MIGRATIONS", next_version(tmp_path / "scripts", wrong))
    with pytest.raises(Exception, match="nonsense"):
        upgrade(engine, now_ms=2)
    assert schema(engine) == before
    monkeypatch.undo()
    check(engine)


@pytest.mark.parametrize("act", ["check", "upgrade"])
def test_a_newer_schema_is_refused(engine: Engine, act: str) -> None:
    """By name, with what to do, and untouched."""
    upgrade(engine, now_ms=1)
    at_revision(engine, "9999")
    with pytest.raises(SchemaMismatch, match=rf"9999.*newer version.*{head()}"):
        check(engine) if act == "check" else upgrade(engine, now_ms=2)
    assert "conversations" in schema(engine)


def test_no_schema_is_refused_by_check(engine: Engine) -> None:
    with pytest.raises(SchemaMismatch, match="no tables yet"):
        check(engine)


def next_version(folder: Path, upgrade: str) -> Path:
    """The migrations with one more."""
    (folder / "versions").mkdir(parents=True)
    for file in (migrate.MIGRATIONS / "env.py", *(migrate.MIGRATIONS / "versions").glob("[0-9]*.py")):
        (folder / file.relative_to(migrate.MIGRATIONS)).write_text(file.read_text())
    (folder / "versions" / "9999_next.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\n\nrevision = '9999'\ndown_revision = '{migrate.head()}'\n"
        f"branch_labels = None\ndepends_on = None\n\n\ndef upgrade() -> None:\n    {upgrade}\n"
    )
    return folder


def test_migrations_are_named_by_their_schema_and_follow_each_other() -> None:
    """What a start reads off the names of the files is what they say."""
    scripts = ScriptDirectory(str(migrate.MIGRATIONS))
    chain = [script.revision for script in scripts.walk_revisions()]

    assert chain == sorted(chain, reverse=True)
    assert scripts.get_heads() == [migrate.head()]
    assert all(Path(script.path).name.startswith(f"{script.revision}_") for script in scripts.walk_revisions())


def test_a_start_on_a_schema_that_is_there_brings_no_migration_tool(tmp_path: Path) -> None:
    file = tmp_path / "parley.db"
    engine = writer_engine(file)
    upgrade(engine, now_ms=1)
    engine.dispose()
    program = (
        "import sys; from pathlib import Path; from parley.store.migrate import upgrade;"
        "from parley.store.sqlite import writer_engine;"
        f"engine = writer_engine(Path({str(file)!r})); upgrade(engine, now_ms=2); sys.exit('alembic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-W", "error", "-c", program], check=False).returncode == 0
