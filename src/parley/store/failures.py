"""What a failed transaction means: try again later, stop the process, or something is wrong with a command."""

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


def wrapped(error: Exception) -> Exception:
    """The driver's own error as SQLAlchemy's, since the hot statements go past SQLAlchemy."""
    if isinstance(error, DBAPIError):
        return error
    for kind in type(error).__mro__:
        if kind.__name__ in _NAMES:
            made: Exception = getattr(sqlalchemy.exc, kind.__name__)("", None, error)
            return made
    return error


def unavailable(error: Exception) -> StoreUnavailable | None:
    """What it says about the store; None: it is about the command, and another one may well go through."""
    if not isinstance(error, DBAPIError):
        return None
    # SQLite names damage as a DatabaseError, not as an OperationalError.
    if str(getattr(error.orig, "sqlite_errorname", "")).startswith(_BROKEN):
        return StoreBroken(str(error.orig))
    if isinstance(error, OperationalError) or error.connection_invalidated:
        return StoreUnavailable(str(error.orig))
    return None
