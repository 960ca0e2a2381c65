"""kill -9 under load loses nothing, doubles nothing, reorders nothing."""

import os
from pathlib import Path

import pytest

from parley.testing.scenarios.kill import kill_rounds

ROUNDS = int(os.environ.get("PARLEY_CRASH_ROUNDS") or 25)


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(60 + 10 * ROUNDS)
async def test_every_acknowledged_message_survives_kill_9(tmp_path: Path, seed: int) -> None:
    """And every client that came back shows exactly the store's log; the checker has the details."""
    result = await kill_rounds(tmp_path, ROUNDS, seed)

    assert result.figures.faults == ROUNDS
    assert result.figures.acks >= 20 * ROUNDS
    assert result.figures.in_flight_at_faults >= ROUNDS
