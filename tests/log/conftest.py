"""The log of the conformance suite, once per implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.log.logs import LOGS, Watched, watch
from tests.log.nodes import Wires, kafka_log
from tests.store.stores import KITS, Store

from parley.testing.shared import Topics


@pytest.fixture(params=list(LOGS))
async def watched(request: pytest.FixtureRequest) -> Watched:
    return watch(LOGS[request.param])


@pytest.fixture(params=[*LOGS, "kafka"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def topics(kind: str, request: pytest.FixtureRequest) -> Topics | None:
    """Not a coroutine: only so can another one be asked for by name, and only where it is needed."""
    found: Topics | None = request.getfixturevalue("kafka") if kind == "kafka" else None
    return found


@pytest.fixture
async def any_log(kind: str, topics: Topics | None) -> AsyncIterator[Watched]:
    """Every log, each on a store that commits when the test says so."""
    if topics is None:
        yield watch(LOGS[kind])
        return
    watched = Watched()
    async with kafka_log(watched, await Wires(topics.bootstrap, topics.prefix).make()):
        yield watched


@pytest.fixture
async def wires(kafka: Topics) -> Wires:
    return await Wires(kafka.bootstrap, kafka.prefix).make()


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A real one: SQLite's, unless a test asks for another by `on_every_store`."""
    store = Store(KITS[getattr(request, "param", "sqlite")], tmp_path).open()
    yield store
    store.close()
