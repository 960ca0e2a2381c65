"""One change beside the log: a transaction, run again where that is safe, and never guessed about."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from parley.store.attempts import Patience
from parley.store.failures import Fault, fault_of, told
from parley.store.interface import StoreBroken, StoreUnavailable

log = structlog.get_logger()

T = TypeVar("T")

_NUMBER = text("SELECT pg_current_xact_id_if_assigned()::text")
_STATUS = text("SELECT pg_xact_status(CAST(:number AS xid8))")


class Undo(Protocol):
    """Whoever has the connection."""

    def failed(self, connection: Connection, error: Exception) -> StoreUnavailable | None:
        """Nothing stays open."""

    def gave_up(self, error: Exception) -> None: ...


def run(writer: Undo, connection: Connection, change: Callable[[Connection], T]) -> T:
    """`change` committed, once. What it raises rolls it back and is raised here; so does what the database says, but
    for what another node was in the way of, and a connection that was lost before the commit: then it runs again.

    A COMMIT that was lost on the way is looked up where the database can tell (PostgreSQL); elsewhere it raises
    StoreUnavailable, and the change may be there.
    """
    if connection.dialect.name == "sqlite":
        with connection.begin():
            return change(connection)
    patience = Patience()
    while True:
        transaction = None
        try:
            transaction = connection.begin()
            result = change(connection)
            number = connection.scalar(_NUMBER) if connection.dialect.name == "postgresql" else None
        except Exception as error:
            _roll_back(writer, connection, transaction, error)
            if fault_of(error) not in {Fault.AGAIN, Fault.LOST} or not patience.once_more():
                writer.gave_up(error)
                raise
            log.info("change_again", error=told(error))
            continue
        try:
            transaction.commit()
        except Exception as error:
            failure = _roll_back(writer, connection, transaction, error)
            if isinstance(error, StoreUnavailable) or isinstance(failure, StoreBroken):
                raise
            if fault_of(error) is not Fault.AGAIN and _was_committed(writer, connection, number, patience):
                return result
            if not patience.once_more():
                writer.gave_up(error)
                raise
            continue
        return result


class _Transaction(Protocol):
    def rollback(self) -> None: ...


def _roll_back(
    writer: Undo, connection: Connection, transaction: _Transaction | None, error: Exception
) -> StoreUnavailable | None:
    try:
        if transaction is not None:
            transaction.rollback()
    except DBAPIError:
        connection.invalidate()
    return writer.failed(connection, error)


def _was_committed(writer: Undo, connection: Connection, number: str | None, patience: Patience) -> bool:
    """What became of the transaction of this number; None: it changed nothing. Raises StoreUnavailable if nobody can
    tell."""
    if connection.dialect.name != "postgresql":
        raise StoreUnavailable("the connection was lost during COMMIT; the change may be there")
    if number is None:
        return True
    while patience.once_more():
        try:
            with connection.begin():
                status = connection.scalar(_STATUS, {"number": number})
        except DBAPIError as error:
            writer.failed(connection, error)
            continue
        if status in {"committed", "aborted"}:
            return bool(status == "committed")
    raise StoreUnavailable(
        "the connection was lost during COMMIT, and the database stays away; the change may be there"
    )
