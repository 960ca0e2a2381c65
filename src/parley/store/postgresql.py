"""PostgreSQL as the store of several nodes: how it is connected to, and what it must be for its commits to be kept."""

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.pool import QueuePool

from parley.store.bounds import IDLE_MS, LOCK_MS, STATEMENT_MS

_CONNECT_S = 5
# A host that vanished without a word is noticed after about ten seconds.
_TCP = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}


def writer_engine(url: URL) -> Engine:
    """One connection: a transaction sees what was committed before each of its statements, under its locks."""
    return _engine(url, 1, default_transaction_isolation="read committed")


def reader_engine(url: URL, readers: int) -> Engine:
    """Connections that cannot write; a transaction sees one moment."""
    snapshot = {"default_transaction_isolation": "repeatable read", "default_transaction_read_only": "on"}
    return _engine(url, readers, **snapshot)


def _engine(url: URL, size: int, **session: str | int) -> Engine:
    session |= {
        "lock_timeout": LOCK_MS,
        "statement_timeout": STATEMENT_MS,
        "idle_in_transaction_session_timeout": IDLE_MS,
        "timezone": "UTC",
    }
    return create_engine(
        url,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        # What an error shows must not hold what people wrote.
        hide_parameters=True,
        connect_args={
            "connect_timeout": _CONNECT_S,
            "client_encoding": "utf8",
            "application_name": "parley",
            "options": " ".join(["-c " + f"{name}={value}".replace(" ", r"\ ") for name, value in session.items()]),
            **_TCP,
        },
    )
