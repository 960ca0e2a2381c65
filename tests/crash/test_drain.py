"""A rolling restart is not noticed by anybody who sends."""

from pathlib import Path

import pytest

from parley.testing.scenarios.drain import drain_rounds


@pytest.mark.crash
@pytest.mark.slow
async def test_no_send_fails_over_rolling_restarts(tmp_path: Path, seed: int) -> None:
    """SIGTERM: every client is closed with 4003, comes back, and what it was sending is stored once."""
    result = await drain_rounds(tmp_path, 5, seed)

    assert result.figures.faults == 5
    assert result.figures.in_flight_at_faults > 0
