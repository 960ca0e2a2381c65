"""A test run that is killed leaves its engines running; the next one ends them, and only those."""

from __future__ import annotations

import subprocess
import sys

import pytest

from parley.testing.engines import RedisServer, processes
from parley.testing.engines.leftovers import clear_away

pytestmark = pytest.mark.crash
LEAK = """
import os
from parley.testing.engines import RedisServer
server = RedisServer()
server.start()
print(server.folder, server.pid, flush=True)
os._exit(1)
"""


def test_an_engine_whose_maker_was_killed_is_ended_by_the_next() -> None:
    leak = subprocess.run([sys.executable, "-c", LEAK], capture_output=True, text=True, check=False)
    assert leak.returncode == 1, leak.stderr
    folder, pid = leak.stdout.split()
    with RedisServer() as mine:
        assert not processes.alive(int(pid))

        assert mine.folder not in clear_away()
        assert mine.answers()
    assert folder not in {str(left) for left in clear_away()}
