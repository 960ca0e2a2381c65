"""`parley bench` from end to end with counts too small to measure anything: that it runs, and that nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the generator needs epoll and /proc")


@pytest.mark.serial
def test_measures_run_against_a_server_of_their_own(tmp_path: Path) -> None:
    """Exit 0: all that was acknowledged was heard, once and in order. What it took is nobody's business here."""
    out = tmp_path / "found.json"
    command = [sys.executable, "-m", "parley", "bench", "--tiny", "--only", "M1,M4", "--dir", str(tmp_path)]
    done = subprocess.run([*command, "--json", str(out)], capture_output=True, text=True, timeout=90, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert found["faults"] == []
    assert {row["measure"] for row in found["rows"]} == {"M1", "M4"}
    assert [it.name for it in tmp_path.iterdir()] == ["found.json"]


def test_a_measure_that_does_not_exist_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "parley", "bench", "--only", "M1,M99"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert "M99" in done.stderr
