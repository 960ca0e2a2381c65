"""MariaDB and MySQL as the store of several nodes: how they are connected to, and what they must be for their commits
to be kept."""

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import NullPool, QueuePool

from parley.store.bounds import IDLE_MS, LOCK_MS, STATEMENT_MS, bound_transactions

OLDEST = {"mariadb": (10, 6), "mysql": (8, 0, 17)}
_CONNECT_S = 5
_READ_S = STATEMENT_MS // 1000 + 4
"""For an answer of the server; above what a statement may take, so that only a dead connection ends by it."""

SQL_MODE = "STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"


def writer_engine(url: URL) -> Engine:
    """One connection: a transaction sees what was committed before each of its statements, under its locks."""
    engine = _engine(url, 1, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    bound_transactions(engine)
    return engine


def reader_engine(url: URL, readers: int) -> Engine:
    """Connections that cannot write; a transaction sees one moment."""
    return _engine(url, readers, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def migration_engine(url: URL) -> Engine:
    """For changes of the schema, which may take long."""
    return create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={
            "connect_timeout": _CONNECT_S,
            "charset": "utf8mb4",
            "init_command": f"SET sql_mode = '{SQL_MODE}'",
        },
    )


def unfit(connection: Connection) -> list[str]:
    """Why it cannot be worked on at all, each with the setting's name."""
    name = connection.dialect.name
    maria = bool(getattr(connection.dialect, "is_mariadb", False))
    if maria != (name == "mariadb"):
        kind = "mariadb" if maria else "mysql"
        return [f"[store] url begins with {name}+pymysql, but this server is to be addressed as {kind}+pymysql"]
    found = []
    version, oldest = connection.dialect.server_version_info or (0,), OLDEST[name]
    if tuple(version) < oldest:
        found.append(f"{name} {'.'.join(map(str, oldest))} or newer is wanted, this is {'.'.join(map(str, version))}")
    read_only = ["read_only", "innodb_read_only", *([] if maria else ["super_read_only"])]
    found += [f"{it} is on" for it in read_only if _setting(connection, it) not in {"0", "OFF"}]
    if (charset := _setting(connection, "character_set_client")) != "utf8mb4":
        found.append(f"character_set_client is {charset}, utf8mb4 is wanted")
    engines = connection.exec_driver_sql(
        "SELECT DISTINCT engine FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND engine <> 'InnoDB'"
    )
    found += [f"tables are of the engine {engine}, InnoDB is wanted" for engine in engines.scalars()]
    return found


def not_durable(connection: Connection) -> list[str]:
    """By which of its settings it may lose what it has committed."""
    wanted = {"innodb_flush_log_at_trx_commit": {"1"}, "innodb_doublewrite": {"1", "ON"}}
    if _setting(connection, "log_bin") in {"1", "ON"}:
        # With a binary log the commit is what stands in it: after a crash the rest is rolled back by it.
        wanted["sync_binlog"] = {"1"}
    settings = {name: _setting(connection, name) for name in wanted}
    found = [f"{name} is {value}" for name, value in settings.items() if value not in wanted[name]]
    if (method := _setting(connection, "innodb_flush_method")) in {"nosync", "littlesync"}:
        found.append(f"innodb_flush_method is {method}")
    return found


def _setting(connection: Connection, name: str) -> str:
    return str(connection.exec_driver_sql(f"SELECT @@{name}").scalar())


def _engine(url: URL, size: int, transaction: str) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        # Servers close what was idle for hours.
        pool_recycle=1800,
        # What an error shows must not hold what people wrote.
        hide_parameters=True,
        # SQLAlchemy takes nested joins for products, on this dialect only.
        enable_from_linting=False,
        connect_args={
            "connect_timeout": _CONNECT_S,
            "read_timeout": _READ_S,
            "write_timeout": _READ_S,
            "charset": "utf8mb4",
            "program_name": "parley",
        },
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: DBAPIConnection, _record: Any) -> None:
        cursor = connection.cursor()
        settings = {
            "sql_mode": f"'{SQL_MODE}'",
            "time_zone": "'+00:00'",
            "innodb_lock_wait_timeout": LOCK_MS // 1000,
            "lock_wait_timeout": LOCK_MS // 1000,
        }
        if "MariaDB" in connection.get_server_info():
            settings |= {"max_statement_time": STATEMENT_MS / 1000, "idle_transaction_timeout": IDLE_MS // 1000}
        else:
            settings |= {"max_execution_time": STATEMENT_MS}
        cursor.execute("SET " + ", ".join([f"SESSION {name} = {value}" for name, value in settings.items()]))
        cursor.execute(transaction)
        cursor.close()
        connection.commit()

    return engine
