"""PostgreSQL as the store of several nodes: how it is connected to, and what it must be for its commits to be kept."""

from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.pool import NullPool, QueuePool

from parley.store.bounds import IDLE_MS, LOCK_MS, STATEMENT_MS, bound_transactions

OLDEST = 130_000
_CONNECT_S = 5
# A host that vanished without a word is noticed after about ten seconds.
_TCP = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}


def writer_engine(url: URL) -> Engine:
    """One connection: a transaction sees what was committed before each of its statements, under its locks."""
    engine = _engine(url, 1, default_transaction_isolation="read committed")
    bound_transactions(engine)
    return engine


def reader_engine(url: URL, readers: int) -> Engine:
    """Connections that cannot write; a transaction sees one moment."""
    snapshot = {"default_transaction_isolation": "repeatable read", "default_transaction_read_only": "on"}
    return _engine(url, readers, **snapshot)


def migration_engine(url: URL) -> Engine:
    """For changes of the schema, which may take long."""
    return create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"connect_timeout": _CONNECT_S})


def unfit(connection: Connection) -> list[str]:
    """Why it cannot be worked on at all, each with the setting's name."""
    found = []
    version = connection.connection.dbapi_connection.info.server_version  # type: ignore[union-attr]
    if version < OLDEST:
        found.append(f"PostgreSQL {OLDEST // 10_000} or newer is wanted, this is {version // 10_000}")
    if (encoding := _setting(connection, "server_encoding")) != "UTF8":
        found.append(f"server_encoding is {encoding}, UTF8 is wanted")
    if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
        found.append("it is a standby (pg_is_in_recovery)")
    elif _setting(connection, "transaction_read_only") == "on":
        found.append("default_transaction_read_only is on")
    return found


def not_durable(connection: Connection) -> list[str]:
    """By which of its settings it may lose what it has committed. Anything but `off` makes a commit wait for its own
    disk; `remote_write` and `remote_apply` wait for standbys as well."""
    found = [f"{name} is off" for name in ("fsync", "full_page_writes") if _setting(connection, name) == "off"]
    if _setting(connection, "synchronous_commit") == "off":
        found.append("synchronous_commit is off")
    unlogged = "SELECT relname FROM pg_class WHERE relname = 'entries' AND relpersistence <> 'p'"
    if connection.exec_driver_sql(unlogged).scalar():
        found.append("the table entries is UNLOGGED")
    return found


def _setting(connection: Connection, name: str) -> str:
    value: str = connection.exec_driver_sql("SELECT current_setting(%s)", (name,)).scalar_one()
    return value


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
