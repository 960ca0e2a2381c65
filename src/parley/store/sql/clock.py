"""The database's own clock: one for all nodes."""

from sqlalchemy import Connection, text

NOW_MS = {
    "sqlite": text("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"),
    "postgresql": text("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"),
    # Not UNIX_TIMESTAMP(NOW()): that goes by the session's time zone, which has an hour twice a year twice.
    "mysql": text("SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000"),
}
NOW_MS["mariadb"] = NOW_MS["mysql"]


def now_ms(connection: Connection) -> int:
    """Milliseconds since 1970 UTC."""
    return int(connection.execute(NOW_MS[connection.dialect.name]).scalar_one())
