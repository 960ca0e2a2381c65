"""Each test's own place in the engines that all tests share."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis import Redis
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from parley.testing.shared import STALE_S, Topics, is_stale, own_database, own_name, own_redis, own_topics


def ask(url: str, question: str) -> object:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return connection.execute(text(question)).scalar()


def test_postgresql_puts_a_commit_on_the_disk_before_it_answers(postgresql_url: str) -> None:
    settings = ("fsync", "synchronous_commit", "full_page_writes")

    assert {name: ask(postgresql_url, f"SHOW {name}") for name in settings} == dict.fromkeys(settings, "on")


def test_mariadb_puts_a_commit_on_the_disk_before_it_answers(mariadb_url: str) -> None:
    assert ask(mariadb_url, "SELECT @@innodb_flush_log_at_trx_commit") == 1
    assert ask(mariadb_url, "SELECT @@character_set_database") == "utf8mb4"


@pytest.mark.parametrize("name", ["postgresql_url", "mariadb_url"])
def test_a_database_is_gone_after_its_test_though_a_client_still_holds_it(
    name: str, request: pytest.FixtureRequest
) -> None:
    """A test that leaks a connection in a transaction neither hangs the run nor leaves its database there."""
    url: str = request.getfixturevalue(name)
    leak = create_engine(url, poolclass=NullPool)
    with own_database(url) as mine:
        held = create_engine(mine, poolclass=NullPool).connect()
        held.execute(text("CREATE TABLE things (id INTEGER PRIMARY KEY)"))
        held.commit()
        held.execute(text("INSERT INTO things VALUES (1)"))

    held.invalidate()
    held.close()
    names = "SELECT datname FROM pg_database" if "postgresql" in url else "SHOW DATABASES"
    with leak.connect() as connection:
        assert make_url(mine).database not in connection.scalars(text(names)).all()


def test_a_migrated_database_is_nobody_elses(migrated_postgresql_url: str, postgresql_template: str) -> None:
    with create_engine(migrated_postgresql_url, poolclass=NullPool).begin() as connection:
        connection.execute(text("DELETE FROM conversations"))

    assert ask(postgresql_template, "SELECT count(*) FROM conversations") == 1
    assert ask(migrated_postgresql_url, "SELECT count(*) FROM conversations") == 0


def test_no_two_tests_have_one_redis_database(redis_url: str) -> None:
    with own_redis(redis_url) as other, Redis.from_url(redis_url) as mine, Redis.from_url(other) as theirs:
        mine.set("key", "mine")

        assert theirs.dbsize() == 0


def test_a_redis_database_that_no_test_filled_is_never_emptied(redis_url: str) -> None:
    """Somebody may let the tests use a Redis of their own."""
    with own_redis(redis_url) as url:
        pass
    with Redis.from_url(url) as person:
        person.set("precious", "1")
        with own_redis(redis_url) as given:
            assert given != url
        assert person.get("precious") == b"1"
        person.flushdb()


async def test_topics_are_gone_after_their_test(kafka: Topics) -> None:
    async with own_topics(kafka.bootstrap) as mine:
        await make_topic(mine.bootstrap, f"{mine.prefix}words")

    assert not [name for name in await topics_of(kafka.bootstrap) if name.startswith(mine.prefix)]


async def test_kafka_gives_back_what_it_was_given(kafka: Topics) -> None:
    """Also a transaction's and a group's topics work on one broker, which keeps every partition once."""
    topic = f"{kafka.prefix}words"
    await make_topic(kafka.bootstrap, topic)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=kafka.prefix) as producer:
        async with producer.transaction():
            await producer.send_and_wait(topic, b"hello")
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap,
        group_id=kafka.prefix,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    async with consumer:
        assert (await consumer.getone()).value == b"hello"


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        (own_name, False),
        (lambda: f"parley_test_{int(time.time()) - STALE_S - 60:08x}_0123456789ab", True),
        (lambda: "parley", False),
        (lambda: "postgres", False),
    ],
    ids=["fresh", "of an old run", "a person's", "the engine's"],
)
def test_only_what_an_old_run_left_is_cleared_away(name: Callable[[], str], stale: bool) -> None:
    assert is_stale(name()) is stale


async def make_topic(bootstrap: str, name: str) -> None:
    async with Admin(bootstrap) as admin:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])


async def topics_of(bootstrap: str) -> list[str]:
    async with Admin(bootstrap) as admin:
        return list(await admin.list_topics())


class Admin:
    def __init__(self, bootstrap: str) -> None:
        self._client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await self._client.start()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
