"""A full disk is said to the senders, and costs nothing that was acknowledged."""

from pathlib import Path

import pytest

from parley.testing.scenarios.disk import fill_rounds


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.usefixtures("disks")
async def test_a_full_disk_refuses_and_recovers(tmp_path: Path, seed: int) -> None:
    """`storage_unavailable`, retryable, and never an ack; with room again the next ack comes within 5 s."""
    result = await fill_rounds(tmp_path, 3, seed)

    assert result.figures.refusals >= 15
    assert result.figures.slowest_recovery_s <= 5.0
