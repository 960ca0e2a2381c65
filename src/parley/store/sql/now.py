"""The database's own clock in SQL, in milliseconds since 1970 UTC: nodes' clocks differ, and step back."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class now_ms(FunctionElement[int]):  # noqa: N801 - it reads as the function that it is
    """When its statement runs, not when its transaction began."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _sqlite(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


@compiles(now_ms, "postgresql")
def _postgresql(_element: Any, _compiler: Any, **_: Any) -> str:
    return "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


@compiles(now_ms, "mysql", "mariadb")
def _mariadb(_element: Any, _compiler: Any, **_: Any) -> str:
    # Not by NOW(): that goes by the session's time zone, which has an hour twice a year twice.
    return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000)"


def read_ms(connection: Connection) -> int:
    """What the database's clock shows."""
    now: int = connection.execute(select(now_ms())).scalar_one()
    return now


def moment(connection: Connection, at: int) -> int | ColumnElement[int]:
    """`at` where one process has the database to itself; the database's clock where others compare times with
    theirs."""
    return at if connection.dialect.name == "sqlite" else now_ms()
