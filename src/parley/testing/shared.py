"""What one test gets of the engines that all tests share: a database, a Redis database, Kafka topics of its own.

`address` says where an engine is; the rest are contexts that take an address and give the test its place, and take it
away again. What a killed run left behind is removed by a later one, by the time in its name.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aiokafka.admin import AIOKafkaAdminClient
from redis import Redis
from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

ADDRESSES = Path(__file__).parents[3] / ".services" / "environment.json"
"""What tools/services.py brought in this checkout."""

STALE_S = 6 * 3600
"""No run of the tests takes that long: what bears an older time has no owner any more."""
NAME = re.compile(r"parley_test_([0-9a-f]{8})_[0-9a-f]{12}")

LEASE_S = 1800
LEASES = "parley:test:lease"
USED = "parley:test:used"
"""In Redis' database 0: which of the others a test has now, and which one had and may not have emptied."""

GONE = 1094
"""MariaDB's ER_NO_SUCH_THREAD: a client that left by itself between the question and the kill."""


class NoRoom(Exception):
    """Every Redis database holds something, or another test has it."""


def address(variable: str) -> str | None:
    """Where an engine is: in the environment, else as tools/services.py noted it; None if it was left out."""
    if value := os.environ.get(variable):
        return value
    if not ADDRESSES.is_file():
        return None
    value = json.loads(ADDRESSES.read_text()).get(variable)
    return value if isinstance(value, str) else None


def own_name() -> str:
    """Good as the name of a database and as the beginning of a topic's: when it was made, and chance."""
    return f"parley_test_{int(time.time()):08x}_{secrets.token_hex(6)}"


def is_stale(name: str) -> bool:
    made = NAME.match(name)
    return made is not None and int(made[1], 16) < time.time() - STALE_S


# --- databases -------------------------------------------------------------------------------------------------------


@contextmanager
def own_database(url: str, template: str | None = None) -> Iterator[str]:
    """The url of a new database, empty or, on PostgreSQL only, a copy of the one whose url is `template`.

    A copy has the template's identity too (`meta`). Clients that are still connected at the end are cut.
    """
    given = make_url(url)
    name = own_name()
    with _administer(given) as connection:
        if given.get_backend_name() == "postgresql":
            source = "template0" if template is None else make_url(template).database
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {source}"))
        else:
            assert template is None, "only PostgreSQL copies a database"
            connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield given.set(database=name).render_as_string(hide_password=False)
    finally:
        with _administer(given) as connection:
            _drop(connection, name)
            for old in filter(is_stale, _names(connection)):
                _drop(connection, old)


@contextmanager
def _administer(url: URL) -> Iterator[Connection]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def _names(connection: Connection) -> list[str]:
    postgresql = connection.dialect.name == "postgresql"
    return list(connection.scalars(text("SELECT datname FROM pg_database" if postgresql else "SHOW DATABASES")))


def _drop(connection: Connection, name: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        return
    # MariaDB waits for a transaction that still holds a table; whose test is over may hold nothing.
    holders = text("SELECT id FROM information_schema.processlist WHERE db = :name")
    for holder in connection.scalars(holders, {"name": name}).all():
        try:
            connection.execute(text(f"KILL HARD CONNECTION {holder}"))
        except OperationalError as error:
            if getattr(error.orig, "args", ())[:1] != (GONE,):
                raise
    connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))


# --- Redis -----------------------------------------------------------------------------------------------------------


@contextmanager
def own_redis(url: str) -> Iterator[str]:
    """The url of an empty Redis database that no other test has. Channels are not by database: give them a prefix."""
    with Redis.from_url(_numbered(url, 0), decode_responses=True) as leases:
        number = _lease(leases, url)
        try:
            yield _numbered(url, number)
        finally:
            with Redis.from_url(_numbered(url, number)) as mine:
                mine.flushdb()
            leases.srem(USED, str(number))
            leases.delete(f"{LEASES}:{number}")


def _numbered(url: str, number: int) -> str:
    return urlsplit(url)._replace(path=f"/{number}").geturl()


def _lease(leases: Redis, url: str) -> int:
    count = int(str(leases.config_get("databases")["databases"]))
    for number in range(1, count):
        if not leases.set(f"{LEASES}:{number}", "1", nx=True, ex=LEASE_S):
            continue
        with Redis.from_url(_numbered(url, number)) as mine:
            if leases.sismember(USED, str(number)):
                mine.flushdb()
            # Never empty what no test has filled: it may be a person's own Redis.
            if mine.dbsize() == 0:
                leases.sadd(USED, str(number))
                return number
        leases.delete(f"{LEASES}:{number}")
    raise NoRoom(f"none of Redis' {count} databases is free and empty")


# --- Kafka -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Topics:
    """A broker, and the beginning of the names of a test's own topics. Nothing makes topics but who uses them."""

    bootstrap: str
    prefix: str


@asynccontextmanager
async def own_topics(bootstrap: str) -> AsyncIterator[Topics]:
    """Every topic whose name begins with the prefix is deleted at the end."""
    own = Topics(bootstrap, own_name() + ".")
    yield own
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        mine = [name for name in await admin.list_topics() if name.startswith(own.prefix) or is_stale(name)]
        if mine:
            await admin.delete_topics(mine)
    finally:
        await admin.close()
