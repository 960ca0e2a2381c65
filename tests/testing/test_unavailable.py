"""An engine that is missing is a skip with its reason, and where everything must be there, a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ON_A_BARE_MACHINE = """
import pytest
from parley.testing.engines import EngineMissing

def test_that_starts_an_engine():
    raise EngineMissing("no engine here")

@pytest.fixture
def engine():
    raise EngineMissing("no engine here")

def test_that_is_given_an_engine(engine):
    pass

def test_without_an_engine():
    pass
"""


@pytest.mark.parametrize(("ci", "outcome"), [("false", "1 passed, 2 skipped"), ("true", "1 failed, 1 passed, 1 error")])
def test_a_missing_engine_is_a_skip_here_and_a_failure_in_ci(tmp_path: Path, ci: str, outcome: str) -> None:
    shutil.copy(TESTS / "conftest.py", tmp_path)
    (tmp_path / "test_bare.py").write_text(ON_A_BARE_MACHINE)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-ra", "--rootdir", tmp_path, "-c", os.devnull, tmp_path],
        cwd=tmp_path,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome in done.stdout, done.stdout
    assert "no engine here" in done.stdout
