"""Negative controls: a crash test that cannot fail proves nothing, so each meets a server that breaks its promise."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from parley.testing import Breach
from parley.testing.scenarios.disk import fill_rounds
from parley.testing.scenarios.drain import drain_rounds
from parley.testing.scenarios.kill import kill_rounds
from parley.testing.scenarios.network import cut_rounds, lost_acks
from parley.testing.scenarios.powercut import cut_rounds as power_cut_rounds

pytestmark = [pytest.mark.crash, pytest.mark.slow]


def sabotaged(name: str) -> tuple[str, ...]:
    return (sys.executable, str(Path(__file__).with_name("sabotaged.py")), name)


async def breach_of(
    scenario: Callable[..., Awaitable[Any]], folder: Path, rounds: int, seed: int, sabotage: str
) -> str:
    with pytest.raises(Breach) as caught:
        await scenario(folder, rounds, seed, program=sabotaged(sabotage))
    return caught.value.invariant


async def test_an_ack_before_the_commit_is_caught_by_kill_9(tmp_path: Path, seed: int) -> None:
    """Acknowledged and lost (I1), or heard and never stored (I7), or told differently the second time (I3)."""
    assert await breach_of(kill_rounds, tmp_path, 4, seed, "early_ack") in {"I1", "I3", "I7"}


@pytest.mark.usefixtures("disks")
async def test_an_ack_before_the_commit_is_caught_by_a_full_disk(tmp_path: Path, seed: int) -> None:
    assert await breach_of(fill_rounds, tmp_path, 1, seed, "early_ack") in {"I1", "I3", "I7"}


@pytest.mark.usefixtures("disks")
async def test_a_commit_that_is_not_synced_is_caught_by_a_power_cut(tmp_path: Path, seed: int) -> None:
    assert await breach_of(power_cut_rounds, tmp_path, 2, seed, "unsynced") in {"I1", "I3", "I7"}


async def test_a_client_id_that_is_not_unique_is_caught_by_lost_acks(tmp_path: Path, seed: int) -> None:
    assert await breach_of(lost_acks, tmp_path, 20, seed, "no_unique") == "I2"


async def test_a_careless_resume_is_caught_by_cuts(tmp_path: Path, seed: int) -> None:
    """An entry that was published while the resume was read is missing (I4)."""
    assert await breach_of(cut_rounds, tmp_path, 40, seed, "careless_resume") == "I4"


async def test_a_rude_drain_is_caught_by_rolling_restarts(tmp_path: Path, seed: int) -> None:
    assert await breach_of(drain_rounds, tmp_path, 1, seed, "rude_drain") == "I8"
