"""An acknowledged message survives the loss of power. kill -9 does not test that: it leaves the page cache alone."""

from pathlib import Path

import pytest

from parley.testing.scenarios.powercut import control, cut_rounds

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.usefixtures("disks")]


async def test_every_acknowledged_message_survives_power_cuts(tmp_path: Path, seed: int) -> None:
    result = await cut_rounds(tmp_path, 5, seed)

    assert result.figures.faults == 5


def test_the_cut_is_a_real_one(tmp_path: Path, seed: int) -> None:
    """The negative control: a bare SQLite writer loses rows in NORMAL nearly every time, and none in FULL."""
    assert control(tmp_path, "FULL", 5, seed) == 0
    assert control(tmp_path, "NORMAL", 5, seed) >= 4
