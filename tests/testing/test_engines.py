"""A test's own engines: what was promised survives a kill, and an end is an end."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psycopg
import pytest
from redis.exceptions import ConnectionError as Unreachable

from parley.testing import steady_port
from parley.testing.engines import (
    Engine,
    EngineDied,
    EngineMissing,
    KafkaServer,
    MariadbServer,
    PostgresqlServer,
    RedisServer,
    processes,
)
from parley.testing.engines.engine import find_program

pytestmark = pytest.mark.crash


def test_postgresql_keeps_commits_over_kills_and_immediate_stops() -> None:
    with PostgresqlServer() as server:
        with server.connect() as connection:
            connection.execute("CREATE TABLE words (word TEXT)")
        for end in (server.kill, server.stop_now, server.stop):
            with server.connect() as connection:
                connection.execute("INSERT INTO words VALUES (%s)", [end.__name__])
            end()
            assert not server.answers()
            server.start()

        with server.connect() as connection:
            words = connection.execute("SELECT word FROM words").fetchall()
        assert words == [("kill",), ("stop_now",), ("stop",)]


def test_mariadb_keeps_commits_over_kills_and_cold_stops() -> None:
    with MariadbServer() as server:
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE talk")
            cursor.execute("CREATE TABLE talk.words (word TEXT)")
        for end in (server.kill, server.stop_now, server.stop):
            with server.connect() as connection, connection.cursor() as cursor:
                cursor.execute("INSERT INTO talk.words VALUES (%s)", [end.__name__])
            end()
            assert not server.answers()
            server.start()

        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT word FROM talk.words")
            assert cursor.fetchall() == (("kill",), ("stop_now",), ("stop",))


async def test_redis_comes_back_at_its_address_with_nothing() -> None:
    async with RedisServer() as server:
        url = server.url
        with server.connect() as client:
            client.set("key", "value")
        server.kill()
        with pytest.raises(Unreachable), server.connect() as client:
            client.ping()

        await server.restarted()

        assert server.url == url
        with server.connect() as client:
            assert client.dbsize() == 0


def test_killing_postgresql_kills_what_it_works_with_too() -> None:
    """A child that outlives the kill would finish its commit: that is no crash. Children leave the parent's group."""
    with PostgresqlServer() as server, server.connect() as connection:
        backend = connection.info.backend_pid
        family = processes.descendants(server.pid)
        assert backend in family
        assert os.getpgid(backend) != os.getpgid(server.pid)

        server.kill()

        assert not [pid for pid in family if processes.alive(pid)]
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_standby_follows_refuses_writes_and_takes_over() -> None:
    with PostgresqlServer() as primary, PostgresqlServer(standby_of=primary) as standby:
        with primary.connect() as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
        with primary.connect() as connection:
            connection.execute("SET synchronous_commit = remote_apply")
            connection.execute("CREATE TABLE words (word TEXT)")

        with standby.connect() as connection:
            assert connection.execute("SELECT count(*) FROM words").fetchone() == (0,)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute("INSERT INTO words VALUES ('no')")
        primary.kill()
        standby.promote()

        with standby.connect() as connection:
            connection.execute("INSERT INTO words VALUES ('yes')")


@pytest.mark.parametrize("kind", [PostgresqlServer, MariadbServer, RedisServer])
def test_nothing_is_left_of_an_engine(kind: type[Engine]) -> None:
    with kind() as server:
        family = [server.pid, *processes.descendants(server.pid)]
        assert server.folder.is_dir()

    assert not [pid for pid in family if processes.alive(pid)]
    assert not server.folder.exists()


def test_an_engine_that_cannot_start_says_why_and_leaves_nothing() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", steady_port()))
        other.listen()
        server = RedisServer(port=other.getsockname()[1])

        with pytest.raises(EngineDied, match="Address already in use"):
            server.__enter__()

    assert not server.running
    assert not server.folder.exists()


def test_data_left_half_made_is_not_taken_for_data(tmp_path: Path) -> None:
    """The command that makes it may be killed; the next one begins again."""
    (tmp_path / "data.half").mkdir()
    (tmp_path / "data.half" / "rubbish").touch()

    with RedisServer(tmp_path) as server:
        assert server.answers()
        assert not (server.data / "rubbish").exists()
    assert tmp_path.is_dir()


def test_nobody_is_let_in_without_the_password() -> None:
    with PostgresqlServer() as server, pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=server.host, port=server.port, user="parley", password="wrong", dbname="postgres")


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(EngineMissing, match="no-such-engine"):
        find_program("no-such-engine")


def test_kafka_without_jars_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_TEST_KAFKA_LIBS", str(tmp_path))

    with pytest.raises(EngineMissing, match="make services"):
        KafkaServer()
