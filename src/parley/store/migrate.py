"""Brings a database to this version's schema, or says why it cannot be used.

An embedded server upgrades on its start, after a copy of the file; a shared database only by `parley migrate`.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sqlalchemy import Connection, Engine, delete, insert, inspect, select, text

from parley.protocol.types import ConversationKind, JoinPolicy
from parley.store.sqlite import backup as copy_of
from parley.store.tables import conversations, meta

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is brought where a migration is run: a start that finds its schema in place is a third faster without it.
MIGRATIONS = Path(__file__).parent / "migrations"
COMPATIBLE_FROM = "compatible_from"
"""Key in `meta`, and name in a migration's file."""

_NAME = "concat('parley.', sha1(database()))"
_mariadb = (f"SELECT GET_LOCK({_NAME}, 600)", f"DO RELEASE_LOCK({_NAME})")
_LOCKS = {
    "postgresql": ("SELECT pg_advisory_lock(7236151)", "SELECT pg_advisory_unlock(7236151)"),
    "mariadb": _mariadb,
    "mysql": _mariadb,
}
"""Per database, as the names of locks on MariaDB are for the whole server."""


class SchemaMismatch(Exception):
    """This version cannot work on this database; the text says what to do."""


def upgrade(engine: Engine, *, now_ms: int, backup: bool = True) -> Path | None:
    """Run what migrations are pending, in one transaction where the engine can undo DDL, and put the first rows in.

    Before an upgrade of an SQLite file that holds anything, a copy is laid beside it; its path is returned.
    Harmless to repeat, and to run twice at once: on a shared database one waits for the other. Raises SchemaMismatch
    if the database is of a newer version.
    """
    copy = None
    with engine.connect() as connection, _alone(connection):
        with connection.begin():
            found = _found(connection)
            empty = not inspect(connection).get_table_names()
        pending = found != head()
        if pending and backup and not empty and connection.dialect.name == "sqlite" and engine.url.database:
            copy = copy_of(Path(engine.url.database), f"before-{head()}")
        with connection.begin():
            if pending:
                _migrate(connection)
                _note_compatibility(connection)
            _first_rows(connection, now_ms)
    return copy


def _migrate(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see the head of this file

    from parley.store import repeatable  # noqa: F401, PLC0415 - Alembic uses it from here on, where DDL cannot be undone

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Under a lock that ends with the connection. An embedded database is locked by its folder."""
    lock, unlock = _LOCKS.get(connection.dialect.name, (None, None))
    if lock is None or unlock is None:
        yield
        return
    with connection.begin():
        got = connection.scalar(text(lock))
    if got == 0:
        raise SchemaMismatch("Another `parley migrate` has been at work on the database for ten minutes.")
    try:
        yield
    finally:
        with connection.begin():
            connection.execute(text(unlock))


def check(engine: Engine) -> None:
    """Raises SchemaMismatch unless the database is of this version's schema, or of a newer one that says that this
    version can still work on it: nodes are upgraded one by one, after their database."""
    with engine.connect() as connection, connection.begin():
        if _is_fit_for_older(connection):
            return
        found = _found(connection)
    if found != head():
        older = "has no tables yet" if found is None else f"is of the older schema {found}"
        raise SchemaMismatch(f"The database {older}; this version wants {head()}. Run `parley migrate` first.")


def head() -> str:
    """The schema of this version."""
    return max(_known())


def ddl(dialect: str, output: TextIO) -> None:
    """Write the SQL of all migrations for a database that is not at hand."""
    from alembic import command  # noqa: PLC0415 - see the head of this file

    config = _config()
    config.attributes.update(dialect=dialect, output=output)
    command.upgrade(config, "head", sql=True)


def _known() -> set[str]:
    """The schemas that there are migrations to: their files begin with it, four digits."""
    return {file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9]*.py")}


def _config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - see the head of this file

    config = Config()
    # ConfigParser would read a per cent sign in the path as an interpolation.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _found(connection: Connection) -> str | None:
    """The schema of the database, None if there is none. Raises SchemaMismatch if it is not one that we know."""
    found = _revision(connection)
    if found is not None and found not in _known():
        raise SchemaMismatch(
            f"The database is of schema {found}, made by a newer version of Parley; this one knows up to {head()}. "
            "Start the newer version, or restore the copy that was made before its upgrade."
        )
    return found


def _revision(connection: Connection) -> str | None:
    """As Alembic notes it."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _is_fit_for_older(connection: Connection) -> bool:
    found = _revision(connection)
    if found is None:
        return False
    noted = connection.scalar(select(meta.c.value).where(meta.c.key == COMPATIBLE_FROM)) or ""
    # A note of another schema than this one is none: whoever made this one did not write it.
    newest, _, oldest = noted.partition(" ")
    return newest == found and oldest <= head() < found


def _note_compatibility(connection: Connection) -> None:
    """Of the newest migration: the schema of the oldest program that can work on what it made. It says so itself, by
    `compatible_from`; otherwise its own."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see the head of this file

    newest = ScriptDirectory.from_config(_config()).get_revision(head())
    assert newest is not None
    oldest = getattr(newest.module, COMPATIBLE_FROM, newest.revision)
    connection.execute(delete(meta).where(meta.c.key == COMPATIBLE_FROM))
    connection.execute(insert(meta).values(key=COMPATIBLE_FROM, value=f"{newest.revision} {oldest}"))


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
