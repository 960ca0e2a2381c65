"""Migrations of a shared database: what they make on the real engines, two at once, and one that died half-way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, event, inspect, select, text
from sqlalchemy.pool import NullPool
from tests.store.test_migrations import at_revision, next_version

from parley.clock import SystemClock
from parley.store import migrate, shared
from parley.store.migrate import SchemaMismatch
from parley.store.schema import metadata
from parley.store.shared import Shared
from parley.store.tables import conversations, meta


@pytest.fixture(params=["postgresql_url", "mariadb_url"], ids=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    value = request.getfixturevalue(request.param)
    assert isinstance(value, str)
    return value


@contextmanager
def engine(url: str) -> Iterator[Engine]:
    made = create_engine(url, poolclass=NullPool)
    yield made
    made.dispose()


def differences(url: str) -> list[Any]:
    with engine(url) as made, made.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))


def test_the_migrated_schema_is_the_tables(url: str) -> None:
    """And every text key compares as bytes."""
    shared.upgrade(url, 1)

    assert differences(url) == []
    with engine(url) as made, made.connect() as connection:
        if made.dialect.name == "postgresql":
            found = connection.scalars(
                text(
                    "SELECT DISTINCT collation_name FROM information_schema.columns"
                    " WHERE table_schema = 'public' AND data_type = 'character varying'"
                    " AND table_name <> 'alembic_version'"
                )
            )
            assert set(found) == {"C"}
        else:
            found = connection.scalars(
                text(
                    "SELECT DISTINCT collation_name FROM information_schema.columns WHERE table_schema = DATABASE()"
                    " AND collation_name IS NOT NULL AND table_name <> 'alembic_version'"
                )
            )
            assert set(found) == {"utf8mb4_nopad_bin"}


def test_two_at_once_make_one(url: str) -> None:
    """The second waits for the first, and finds nothing left to do."""
    failed: list[Exception] = []

    def run() -> None:
        try:
            shared.upgrade(url, 1)
        except Exception as error:
            failed.append(error)

    both = [threading.Thread(target=run) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()

    assert failed == []
    with engine(url) as made, made.connect() as connection:
        assert connection.scalars(select(conversations.c.name)).all() == ["lobby"]
        assert len(connection.scalars(select(meta.c.value).where(meta.c.key == "epoch")).all()) == 1


class Died(Exception):
    pass


@pytest.mark.parametrize("after", [1, 4, 7, 12, 20])
def test_a_migration_that_died_half_way_is_run_again(url: str, after: int) -> None:
    """On PostgreSQL nothing is left of it; on MariaDB what is there is passed over."""
    with engine(url) as made:
        left = after

        @event.listens_for(made, "after_cursor_execute")
        def _die(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
            nonlocal left
            left -= statement.lstrip().startswith(("CREATE", "ALTER"))
            if left == 0:
                left = -1
                raise Died

        with pytest.raises(Died):
            migrate.upgrade(made, now_ms=1)
    with engine(url) as made:
        tables = set(inspect(made).get_table_names())
        assert (tables <= {"alembic_version"}) == (made.dialect.name == "postgresql" or after == 1)

    shared.upgrade(url, 1)

    assert differences(url) == []
    Shared(url, SystemClock()).close()


def test_an_older_schema_is_refused_and_not_touched(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shared.upgrade(url, 1)
    monkeypatch.setattr(migrate, "MIGRATIONS", next_version(tmp_path / "scripts", "op.execute('SELECT nonsense')"))

    with pytest.raises(SchemaMismatch, match=f"older schema {'000'}.*parley migrate"):
        Shared(url, SystemClock())


def test_a_newer_schema_is_refused_unless_it_says_otherwise(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Rolling upgrades: the database first, then the nodes one by one. The number of a schema that we do not know is
    believed only where its own migration wrote down that we may work on it."""
    shared.upgrade(url, 1)
    now = migrate.head()
    for compatible, text_ in (("9999", "9999"), (now, now)):
        scripts = next_version(tmp_path / compatible, "pass")
        script = scripts / "versions" / "9999_next.py"
        script.write_text(script.read_text() + f"\n\ncompatible_from = '{compatible}'\n")
        with monkeypatch.context() as patch, engine(url) as made:
            at_revision(made, now)
            patch.setattr(migrate, "MIGRATIONS", scripts)
            migrate.upgrade(made, now_ms=2)
        if text_ == now:
            Shared(url, SystemClock()).close()
        else:
            with pytest.raises(SchemaMismatch, match="newer version"):
                Shared(url, SystemClock())
