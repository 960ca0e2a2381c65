"""Brings a database to this version's schema, or says why it cannot be used.

An embedded server upgrades on its start, after a copy of the file; a shared database only by `parley migrate`.
"""

import uuid
from pathlib import Path
from typing import TextIO

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, insert, inspect, select

from parley.protocol.types import ConversationKind, JoinPolicy
from parley.store.sqlite import backup as copy_of
from parley.store.tables import conversations, meta

MIGRATIONS = Path(__file__).parent / "migrations"


class SchemaMismatch(Exception):
    """This version cannot work on this database; the text says what to do."""


def upgrade(engine: Engine, *, now_ms: int, backup: bool = True) -> Path | None:
    """Run what migrations are pending, in one transaction where the engine can undo DDL, and put the first rows in.

    Before an upgrade of an SQLite file that holds anything, a copy is laid beside it; its path is returned.
    Harmless to repeat. Raises SchemaMismatch if the database is of a newer version.
    """
    copy = None
    with engine.connect() as connection:
        with connection.begin():
            found = _found(connection)
            empty = not inspect(connection).get_table_names()
        pending = found != head()
        if pending and backup and not empty and connection.dialect.name == "sqlite" and engine.url.database:
            copy = copy_of(Path(engine.url.database), f"before-{head()}")
        with connection.begin():
            if pending:
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
            _first_rows(connection, now_ms)
    return copy


def check(engine: Engine) -> None:
    """Raises SchemaMismatch unless the database is of exactly this version's schema."""
    with engine.connect() as connection, connection.begin():
        found = _found(connection)
    if found != head():
        older = "has no tables yet" if found is None else f"is of the older schema {found}"
        raise SchemaMismatch(f"The database {older}; this version wants {head()}. Run `parley migrate` first.")


def head() -> str:
    """The schema of this version."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None
    return newest


def ddl(dialect: str, output: TextIO) -> None:
    """Write the SQL of all migrations for a database that is not at hand."""
    config = _config()
    config.attributes.update(dialect=dialect, output=output)
    command.upgrade(config, "head", sql=True)


def _config() -> Config:
    config = Config()
    # ConfigParser would read a per cent sign in the path as an interpolation.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _found(connection: Connection) -> str | None:
    """The schema of the database, None if there is none. Raises SchemaMismatch if it is not one that we know."""
    found = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaMismatch(
            f"The database is of schema {found}, made by a newer version of Parley; this one knows up to {head()}. "
            "Start the newer version, or restore the copy that was made before its upgrade."
        )
    return found


def _first_rows(connection: Connection, now_ms: int) -> None:
    """The name of this history, and the room everybody is in."""
    if connection.scalar(select(meta.c.value).where(meta.c.key == "epoch")) is None:
        connection.execute(insert(meta).values(key="epoch", value=uuid.uuid4().hex))
    if connection.scalar(select(conversations.c.id).where(conversations.c.lobby)) is None:
        connection.execute(
            insert(conversations).values(
                kind=ConversationKind.ROOM, name="lobby", lobby=True, join_policy=JoinPolicy.OPEN, created_at=now_ms
            )
        )
