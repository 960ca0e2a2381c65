"""What a move writes into both databases, so that nobody serves half a copy, or goes on with a history that has moved.

Two databases with the same epoch, both written to, would be two histories that clients take for one.
"""

from sqlalchemy import Connection, delete, insert, select

from parley.store.migrate import SchemaMismatch
from parley.store.tables import meta

MOVED_TO = "moved_to"
"""In the source, from the first row on."""
MOVING_FROM = "moving_from"
"""In the target, until everything is over."""
OWN = frozenset({MOVED_TO, MOVING_FROM})


class DatabaseMoved(SchemaMismatch):
    """The database is not to be served; the text says what to do."""


def read(connection: Connection, key: str) -> str | None:
    value: str | None = connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar_one_or_none()
    return value


def write(connection: Connection, key: str, value: str) -> None:
    forget(connection, key)
    connection.execute(insert(meta).values(key=key, value=value))


def forget(connection: Connection, key: str) -> None:
    connection.execute(delete(meta).where(meta.c.key == key))


def refuse_if_moved(connection: Connection) -> None:
    """For whoever is about to serve a database, in a transaction. Raises DatabaseMoved."""
    if where := read(connection, MOVED_TO):
        raise DatabaseMoved(
            f"This database was moved to {where}. Serve that one, or take the mark away with"
            " `parley move --from <this database> --release` if nobody has written there yet."
        )
    if whence := read(connection, MOVING_FROM):
        raise DatabaseMoved(
            f"This database holds a part of {whence} only: its move was not finished."
            " Give the same `parley move` again; it goes on where it was."
        )
