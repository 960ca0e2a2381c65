"""What keeps a node from starting is one sentence that says what to do: no traceback, no password, nothing begun."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool
from tests.conftest import service

from parley.app import open_store, open_topics
from parley.app.migrating import migrate
from parley.app.refusals import REFUSALS
from parley.clock import SystemClock
from parley.configuration import load
from parley.settings import Settings
from parley.testing.engines import PostgresqlServer
from parley.testing.server import environment, steady_port
from parley.testing.shared import Topics, own_database


class Node:
    """One node's settings, and how they are answered."""

    def __init__(self, folder: Path, store: str) -> None:
        key = folder / "signing.key"
        key.write_bytes(b"k" * 32)
        self.store = store
        self._given: dict[str, dict[str, Any]] = {
            "store": {"url": store},
            "auth": {"signing_key_file": key},
            "server": {"port": 0, "data": folder / "data"},
        }

    def settings(self, **sections: dict[str, Any]) -> Settings:
        return load({name: self._given.get(name, {}) | sections.get(name, {}) for name in self._given | sections})

    def migrated(self) -> Node:
        assert list(migrate(self.settings())) == ["The database is of this version's schema."]
        return self

    def refused(self, **sections: dict[str, Any]) -> str:
        """The sentence with which a start ends; nothing was begun."""
        settings = self.settings(**sections)
        with pytest.raises(REFUSALS) as refused:
            begin(settings)
        sentence = str(refused.value)
        for url in (self.store, settings.store.url):
            assert (make_url(url).password or "no password") not in sentence
        assert "\n" not in sentence
        return sentence

    def serve(self, store: str) -> tuple[int, str, str]:
        """(exit code, output, errors) of the command itself, which must end."""
        rows = {f"{section}.{row}": str(value) for section, it in self._given.items() for row, value in it.items()}
        done = subprocess.run(
            [sys.executable, "-m", "parley", "serve"],
            env=environment(rows | {"store.url": store}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr


def begin(settings: Settings) -> None:
    """What a start does before anything can be asked of it."""
    asyncio.run(open_topics(settings))
    open_store(settings, SystemClock()).close()


@pytest.fixture(params=["PARLEY_TEST_POSTGRESQL", "PARLEY_TEST_MARIADB"], ids=["postgresql", "mariadb"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    with own_database(service(request.param)) as url:
        yield Node(tmp_path, url)


def execute(url: str, statement: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(statement))


def elsewhere(url: str, **changes: object) -> str:
    return make_url(url).set(**changes).render_as_string(hide_password=False)  # type: ignore[arg-type]


def test_a_database_that_does_not_answer(node: Node) -> None:
    away = elsewhere(node.store, port=steady_port())
    code, said, complained = node.serve(away)
    (line,) = complained.splitlines()
    assert (code, said) == (1, "")
    assert line.startswith("parley: The database")
    assert "cannot be reached" in line
    assert str(make_url(away).password) not in line


def test_a_wrong_password(node: Node) -> None:
    wrong = elsewhere(node.store, password="not-the-password")
    assert "cannot be reached" in node.refused(store={"url": wrong})


def test_a_database_without_tables_or_of_an_older_schema(node: Node) -> None:
    """`parley migrate` is named, and helps; twice does no harm."""
    assert "parley migrate" in node.refused()
    node.migrated().migrated()
    execute(node.store, "UPDATE alembic_version SET version_num = '0001'")
    assert "parley migrate" in node.refused()


def test_a_database_of_a_newer_schema(node: Node) -> None:
    node.migrated()
    execute(node.store, "UPDATE alembic_version SET version_num = '9999'")
    assert "newer version" in node.refused()


def test_a_missing_topic_is_named(node: Node, kafka: Topics) -> None:
    """And `migrate` makes it."""
    topics = {"bootstrap": kafka.bootstrap, "commands": f"{kafka.prefix}commands", "results": f"{kafka.prefix}results"}
    sections: dict[str, dict[str, Any]] = {
        "log": {"kind": "kafka"},
        "kafka": {**topics, "replicas": 1, "partitions": 2},
    }
    node.migrated()
    assert f"Kafka has no topic {kafka.prefix}commands" in node.refused(**sections)
    made = list(migrate(node.settings(**sections)))
    assert made[1] == f"Topics made: {kafka.prefix}commands, {kafka.prefix}results."
    assert list(migrate(node.settings(**sections)))[1] == "The topics were there."
    sections["kafka"]["replicas"] = 3
    assert f"keeps the topic {kafka.prefix}commands on 1 broker(s)" in node.refused(**sections)


def test_a_kafka_that_does_not_answer(node: Node) -> None:
    away = f"127.0.0.1:{steady_port()}"
    refused = node.refused(log={"kind": "kafka"}, kafka={"bootstrap": away})
    assert f"Kafka cannot be reached at {away}" in refused


@pytest.mark.slow
def test_a_replica_and_a_database_that_does_not_sync(tmp_path: Path) -> None:
    """What it would lose, or could not write, is said before the first client comes."""
    with PostgresqlServer(settings={"synchronous_commit": "off"}) as primary:
        node = Node(tmp_path, primary.url).migrated()
        assert "may lose what it has committed" in node.refused()
        with PostgresqlServer(standby_of=primary) as standby:
            assert "cannot be used" in node.refused(store={"url": standby.url})
