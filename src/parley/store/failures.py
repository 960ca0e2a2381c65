"""What a failed transaction means: try again, try again later, stop the process, or something is wrong with a command.

Each engine says it in its own way: SQLite by names, PostgreSQL by SQLSTATE, MariaDB and MySQL by numbers.
"""

from collections.abc import Iterator
from enum import Enum, auto

import sqlalchemy.exc
from sqlalchemy.exc import DBAPIError, OperationalError

from parley.store.interface import StoreBroken, StoreUnavailable

# PEP 249 gives every driver classes of these names; some raise subclasses of them.
_NAMES = (
    "IntegrityError",
    "OperationalError",
    "DataError",
    "ProgrammingError",
    "InternalError",
    "NotSupportedError",
    "DatabaseError",
    "InterfaceError",
)
# A failed fsync is not to be tried again: the kernel may already have dropped the pages it could not write.
_BROKEN = ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_CORRUPT", "SQLITE_NOTADB")

# Serialisation failure, deadlock, lock timeout; the statement was too slow, or a person cancelled it.
_AGAIN_STATES = ("40001", "40P01", "55P03", "57014")
# Connection trouble, a shutdown or a kill, idle within a transaction for too long (which closes the connection).
_LOST_STATES = ("08", "57P", "25P03", "40003")
# No room, no memory, too many connections; a disk that fails; a server that may not write; internal errors.
_AWAY_STATES = ("53", "58", "25006", "F0", "XX")

_AGAIN_NUMBERS = frozenset(
    {1020, 1205, 1213, 1317, 1969, 3024}  # read meanwhile changed, lock timeout, deadlock, interrupted, too slow (2)
)
_LOST_NUMBERS = frozenset({1053, 1152, 1158, 1159, 1160, 1161, 1180, 1184, 1927, 2003, 2006, 2013, 2014, 2055, 4031, 0})
# What PyMySQL calls operational although it is about the values: wrong text, a row or a packet that is too large.
_DATA_NUMBERS = frozenset({1118, 1153, 1292, 1300, 1366, 1406, 3140})


class Fault(Enum):
    DATA = auto()
    """About a command; another one may well go through."""
    AGAIN = auto()
    """Surely rolled back, and the same may go through at once."""
    LOST = auto()
    """The connection is gone: of a transaction that was not being committed nothing is left; of a commit nobody
    knows."""
    AWAY = auto()
    """The database cannot do it just now."""
    BROKEN = auto()
    """What is on the disk is not known any more."""


def wrapped(error: Exception) -> Exception:
    """The driver's own error as SQLAlchemy's, since the hot statements go past SQLAlchemy."""
    if isinstance(error, DBAPIError):
        return error
    for kind in type(error).__mro__:
        if kind.__name__ in _NAMES:
            made: Exception = getattr(sqlalchemy.exc, kind.__name__)("", None, error)
            return made
    return error


def fault_of(error: Exception) -> Fault:
    """What it says, whichever driver raised it."""
    error = wrapped(error)
    if not isinstance(error, DBAPIError):
        return Fault.DATA
    said = next(_said(error), None)
    if said is not None:
        return said
    if error.connection_invalidated:
        return Fault.LOST
    return Fault.AWAY if isinstance(error, OperationalError) else Fault.DATA


def _said(error: DBAPIError) -> Iterator[Fault]:
    """In the engine's own words, if it has words for it."""
    cause = error.orig
    # SQLite names damage as a DatabaseError, not as an OperationalError.
    if str(getattr(cause, "sqlite_errorname", "")).startswith(_BROKEN):
        yield Fault.BROKEN
    module = type(cause).__module__.partition(".")[0]
    if module == "psycopg":
        yield from _said_by_postgresql(cause)
    elif module == "pymysql":
        yield from _said_by_mariadb(cause)


def _said_by_postgresql(cause: object) -> Iterator[Fault]:
    state = getattr(cause, "sqlstate", None)
    if state is None:
        # Not the server's words but the driver's: it could not reach it, or lost it on the way.
        if isinstance(wrapped(cause), OperationalError):  # type: ignore[arg-type]  # psycopg raises exceptions
            yield Fault.LOST
        return
    for states, fault in ((_AGAIN_STATES, Fault.AGAIN), (_LOST_STATES, Fault.LOST), (_AWAY_STATES, Fault.AWAY)):
        if state.startswith(states):
            yield fault


def _said_by_mariadb(cause: object) -> Iterator[Fault]:
    number = next(iter(getattr(cause, "args", ())), None)
    for numbers, fault in (
        (_AGAIN_NUMBERS, Fault.AGAIN),
        (_LOST_NUMBERS, Fault.LOST),
        (_DATA_NUMBERS, Fault.DATA),
    ):
        if number in numbers:
            yield fault


def told(error: Exception) -> str:
    """What it says, for the log: its first words only, since engines show values in the details."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    primary = getattr(getattr(cause, "diag", None), "message_primary", None)
    return str(primary or cause)


def unavailable(error: Exception) -> StoreUnavailable | None:
    """What it says about the store; None: it is about the command, and another one may well go through."""
    if isinstance(error, StoreUnavailable):
        return error
    fault = fault_of(error)
    if fault is Fault.DATA:
        return None
    return (StoreBroken if fault is Fault.BROKEN else StoreUnavailable)(told(error))
