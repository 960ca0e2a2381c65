"""One cluster for each sensible combination of engines, started once and shared by all tests of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from tests.end_to_end.cluster.stage import Stage

from parley.testing.cluster import Cluster, Engines, LogKind, running_cluster
from parley.testing.shared import address

STORES = {"sqlite": "", "postgresql": "PARLEY_TEST_POSTGRESQL", "mariadb": "PARLEY_TEST_MARIADB"}
COMBINATIONS = [
    "sqlite-direct",
    "sqlite-kafka",
    *(
        f"{store}{redis}-{log}"
        for store in ("postgresql", "mariadb")
        for redis in ("", "-redis")
        for log in ("direct", "kafka")
    ),
]
"""Store, whether there is Redis, and the log. On SQLite a cluster is one node."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "over_redis: a promise of the combinations that have Redis")
    config.addinivalue_line("markers", "two_nodes: a promise that only two processes can be asked for")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a combination does not promise is not collected for it. That is no skip: nothing is missing."""
    items[:] = [item for item in items if promised(item)]


def promised(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return True
    combination = str(item.callspec.params.get("cluster"))
    if item.get_closest_marker("over_redis") and "redis" not in combination:
        return False
    return not (item.get_closest_marker("two_nodes") and combination.startswith("sqlite"))


def service(variable: str) -> str:
    found = address(variable)
    if found is None:
        reason = f"{variable} is not set, and make services did not bring it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def engines_of(combination: str) -> tuple[Engines, LogKind]:
    store, *more = combination.split("-")
    kafka = "kafka" in more
    engines = Engines(
        store=service(STORES[store]) if STORES[store] else "",
        redis=service("PARLEY_TEST_REDIS") if "redis" in more else "",
        kafka=service("PARLEY_TEST_KAFKA") if kafka else "",
    )
    return engines, "kafka" if kafka else "direct"


@pytest.fixture(scope="session", params=COMBINATIONS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    engines, log = engines_of(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    made = running_cluster(folder, engines, nodes=2 if engines.store else 1, log=log)
    with asyncio.Runner() as runner:
        runner.run(made.__aenter__())
        try:
            yield made
        finally:
            runner.run(made.__aexit__(None, None, None))


@pytest.fixture
async def stage(cluster: Cluster) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(cluster, stack)
