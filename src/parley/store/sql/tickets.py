"""The tickets that the database keeps."""

from sqlalchemy import Connection, delete, func, insert, select

from parley.protocol.types import SessionId
from parley.store.cluster_tables import tickets
from parley.store.sql.now import read_ms


def sweep(connection: Connection) -> int:
    """Remove what has expired; how many are left."""
    connection.execute(delete(tickets).where(tickets.c.until <= read_ms(connection)))
    return connection.scalar(select(func.count()).select_from(tickets)) or 0


def keep_newest(connection: Connection, session_id: SessionId, count: int) -> None:
    """Of a session's."""
    mine = select(tickets.c.hash).where(tickets.c.session_id == session_id)
    old = connection.scalars(mine.order_by(tickets.c.until.desc(), tickets.c.hash)).all()[count:]
    if old:
        connection.execute(delete(tickets).where(tickets.c.hash.in_(old)))


def add(connection: Connection, name: str, session_id: SessionId, good_ms: int) -> None:
    until = read_ms(connection) + good_ms
    connection.execute(insert(tickets).values(hash=name, session_id=session_id, until=until))


def take(connection: Connection, name: str) -> SessionId | None:
    """Its session, for the one caller who gets the row away."""
    this = tickets.c.hash == name
    session_id = connection.scalar(select(tickets.c.session_id).where(this))
    if session_id is None:
        return None
    gone = connection.execute(delete(tickets).where(this, tickets.c.until > read_ms(connection)))
    return SessionId(session_id) if gone.rowcount == 1 else None
