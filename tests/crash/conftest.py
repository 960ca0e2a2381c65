"""How often, from which seed, and whether this machine can break disks."""

import os
from random import SystemRandom

import pytest

from parley.testing.disks import why_no_disks


@pytest.fixture
def seed() -> int:
    """PARLEY_CRASH_SEED, or another one each time; printed, so that a failure shows it."""
    chosen = int(os.environ.get("PARLEY_CRASH_SEED") or SystemRandom().randrange(1_000_000))
    print(f"PARLEY_CRASH_SEED={chosen}")  # noqa: T201 - shown with a failure
    return chosen


@pytest.fixture
def disks() -> None:
    """Skips where no file system can be mounted. As root under CI it must be possible."""
    reason = why_no_disks()
    if reason is None:
        return
    if os.environ.get("CI") == "true" and os.geteuid() == 0:
        pytest.fail(reason)
    pytest.skip(reason)
