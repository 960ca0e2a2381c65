"""Negative controls: each test of the cluster that claims something meets nodes that break it."""

import sys
from pathlib import Path

import pytest
from tests.conftest import service

from parley.testing import Breach
from parley.testing.cluster import Engines
from parley.testing.scenarios import cluster

pytestmark = [pytest.mark.crash, pytest.mark.slow]


def sabotaged(name: str) -> tuple[str, ...]:
    return (sys.executable, str(Path(__file__).with_name("sabotaged.py")), name)


async def test_nodes_that_do_not_compare_heads_are_caught(tmp_path: Path) -> None:
    """Without Redis nothing else brings what another node wrote (I4). One writer: a node that writes itself meets the
    holes, and heals them."""
    engines = Engines(service("PARLEY_TEST_POSTGRESQL"))
    with pytest.raises(Breach) as caught:
        await cluster.crowded(tmp_path, 2, 1, engines=engines, writers=1, settle_s=4.0, program=sabotaged("no_heads"))
    assert caught.value.invariant == "I4"


async def test_nodes_that_are_not_told_of_ended_sessions_are_caught(tmp_path: Path) -> None:
    engines = Engines(service("PARLEY_TEST_POSTGRESQL"), service("PARLEY_TEST_REDIS"))
    with pytest.raises(Breach) as caught:
        await cluster.revocations(tmp_path, 1, 1, engines=engines, program=sabotaged("deaf_to_endings"))
    assert caught.value.invariant == "S2"


async def test_honest_nodes_end_sessions_everywhere(tmp_path: Path) -> None:
    """S2, with and without somebody to tell of it."""
    engines = Engines(service("PARLEY_TEST_POSTGRESQL"), service("PARLEY_TEST_REDIS"))
    result = await cluster.revocations(tmp_path, 10, 1, engines=engines)
    assert result.more["slowest_close_s"] <= cluster.REVOKED_S
