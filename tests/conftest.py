"""The real engines of tools/services.py, for every test: a place of its own in each, which is gone afterwards.

An engine that was left out is a skip with its reason; under CI=true, where everything must be there, a failure.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Generator, Iterator
from typing import NoReturn

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from parley.store import migrate
from parley.testing.engines import EngineMissing
from parley.testing.shared import Topics, address, own_database, own_name, own_redis, own_topics


def unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def service(variable: str) -> str:
    """The address of a shared engine; skips the test, or fails it under CI=true, if there is none."""
    found = address(variable)
    if found is None:
        unavailable(f"{variable} is not set, and make services did not bring it")
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    try:
        yield
    except EngineMissing as reason:
        unavailable(str(reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A test with an engine of its own, on a machine without the engine's programs."""
    try:
        yield
    except EngineMissing as reason:
        unavailable(str(reason))


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """An empty database, as a SQLAlchemy url of a superuser."""
    with own_database(service("PARLEY_TEST_POSTGRESQL")) as url:
        yield url


@pytest.fixture
def mariadb_url() -> Iterator[str]:
    """An empty database, as a SQLAlchemy url of a user with every right."""
    with own_database(service("PARLEY_TEST_MARIADB")) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_template() -> Iterator[str]:
    with own_database(service("PARLEY_TEST_POSTGRESQL")) as url:
        _migrate(url)
        yield url


@pytest.fixture
def migrated_postgresql_url(postgresql_template: str) -> Iterator[str]:
    """A database of this version's schema: a copy of one that was migrated once, so all have one identity."""
    with own_database(service("PARLEY_TEST_POSTGRESQL"), postgresql_template) as url:
        yield url


@pytest.fixture
def migrated_mariadb_url(mariadb_url: str) -> str:
    """A database of this version's schema."""
    _migrate(mariadb_url)
    return mariadb_url


def _migrate(url: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    migrate.upgrade(engine, now_ms=time.time_ns() // 1_000_000)


@pytest.fixture
def redis_url() -> Iterator[str]:
    """An empty Redis database that no other test has. Channels are shared by all: use `redis_prefix`."""
    with own_redis(service("PARLEY_TEST_REDIS")) as url:
        yield url


@pytest.fixture
def redis_prefix() -> str:
    """The beginning of keys and channels that no other test uses."""
    return f"{own_name()}:"


@pytest.fixture
async def kafka() -> AsyncIterator[Topics]:
    """`kafka.bootstrap`, and `kafka.prefix`: topics whose name begins with it are deleted afterwards."""
    async with own_topics(service("PARLEY_TEST_KAFKA")) as topics:
        yield topics
