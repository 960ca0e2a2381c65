"""The clock of the database: nodes' own differ and step back, and what is agreed between nodes must not."""

from sqlalchemy import Connection, text

_NOW = {
    "sqlite": text("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"),
    "postgresql": text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"),
    "mysql": text("SELECT CAST(unix_timestamp(now(3)) * 1000 AS SIGNED)"),
}
_NOW["mariadb"] = _NOW["mysql"]


def now_ms(connection: Connection) -> int:
    """Milliseconds since 1970."""
    return int(connection.execute(_NOW[connection.dialect.name]).scalar_one())
