"""Nodes and engines that die under load: nothing acknowledged is lost, doubled, reordered or skipped (R3–R6, R12–R14).

Small counts of what `make proof` does in large ones. The checker has the details.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import SystemRandom

import pytest
from tests.conftest import service

from parley.testing.cluster import Engines, LogKind
from parley.testing.scenarios import cluster, cluster_engines

pytestmark = [pytest.mark.crash, pytest.mark.slow]

POSTGRESQL, MARIADB = "PARLEY_TEST_POSTGRESQL", "PARLEY_TEST_MARIADB"


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("PARLEY_CRASH_SEED") or SystemRandom().randrange(1_000_000))
    print(f"PARLEY_CRASH_SEED={chosen}")  # noqa: T201 - shown with a failure
    return chosen


def everything() -> Engines:
    return Engines(service(POSTGRESQL), service("PARLEY_TEST_REDIS"), service("PARLEY_TEST_KAFKA"))


async def test_nodes_are_killed(tmp_path: Path, seed: int) -> None:
    """R3: their clients go on with another node and resume there."""
    result = await cluster.node_kills(tmp_path, 2, seed, engines=everything(), log="kafka")
    assert result.figures.faults == 2
    assert result.figures.in_flight_at_faults >= 2


async def test_nodes_are_rolled(tmp_path: Path, seed: int) -> None:
    """R12: no send fails."""
    result = await cluster.rolling_restarts(tmp_path, 3, seed, engines=everything())
    assert result.figures.faults == 3


async def test_a_message_is_asked_of_all_nodes_at_once(tmp_path: Path, seed: int) -> None:
    """R13: and again, and each time answered alike."""
    await cluster.repeats(tmp_path, 10, seed, engines=Engines(service(MARIADB)))


@pytest.mark.parametrize("store", [POSTGRESQL, MARIADB], ids=["postgresql", "mariadb"])
async def test_many_write_to_one_conversation(tmp_path: Path, seed: int, store: str) -> None:
    """R14: over three nodes; dense, and no reader skips."""
    engines = Engines(service(store), service("PARLEY_TEST_REDIS"))
    result = await cluster.crowded(tmp_path, 10, seed, engines=engines, writers=24)
    assert result.figures.acks >= 240


@pytest.mark.parametrize("store", ["postgresql", "mariadb"])
async def test_the_database_is_stopped_and_killed(tmp_path: Path, seed: int, store: str) -> None:
    """R4."""
    result = await cluster_engines.database_faults(tmp_path, 2, seed, store=store)
    assert result.figures.faults == 2


async def test_connections_to_the_database_are_cut(tmp_path: Path, seed: int) -> None:
    """R4: at any byte, so also between a COMMIT and its answer."""
    await cluster_engines.commit_cuts(tmp_path, 20, seed, store_url=service(POSTGRESQL))


async def test_redis_is_emptied_killed_and_away(tmp_path: Path, seed: int) -> None:
    """R5: it costs time and nothing else."""
    result = await cluster_engines.redis_faults(tmp_path, 3, seed, store_url=service(POSTGRESQL))
    assert result.figures.faults == 3


@pytest.mark.parametrize("log", ["kafka", "direct"])
async def test_kafka_is_killed(tmp_path: Path, seed: int, log: LogKind) -> None:
    """R6: as the log, sends wait for it; as the stream, nobody notices."""
    result = await cluster_engines.kafka_faults(tmp_path, 1, seed, store_url=service(POSTGRESQL), log=log)
    assert result.figures.faults == 1
