"""The supervisor of `--workers`, with workers that do nothing but live and die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CREW = Path(__file__).with_name("crew.py")


class Crew:
    """A running crew and what it says, line by line."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(CREW), *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def line(self) -> str:
        """The next one; empty at the end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def started(self, count: int) -> dict[int, int]:
        """The pids by place, when all are ready."""
        pids: dict[int, int] = {}
        while not (line := self.line()).startswith("all ready"):
            _, number, pid = line.split()
            pids[int(number)] = int(pid)
        assert sorted(pids) == list(range(count))
        return pids

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew("3")
    yield crew
    crew.end()


def test_one_that_dies_is_replaced_and_the_others_stay(crew: Crew) -> None:
    pids = crew.started(3)

    os.kill(pids[1], signal.SIGKILL)

    _, number, pid = crew.line().split()
    assert number == "1"
    assert int(pid) not in pids.values()
    for other in (0, 2):
        os.kill(pids[other], 0)  # raises where there is nobody


def test_a_stop_is_passed_on_and_waited_for(crew: Crew) -> None:
    crew.started(3)

    crew.process.send_signal(signal.SIGTERM)

    assert sorted(crew.line() for _ in range(3)) == [f"worker {number} ends" for number in range(3)]
    assert crew.process.wait(10) == 0


def test_workers_end_with_a_supervisor_that_was_killed(crew: Crew) -> None:
    """Nobody could stop them any more, and they would hold the listeners."""
    crew.started(3)

    crew.process.kill()

    assert sorted(crew.line() for _ in range(3)) == [f"worker {number} ends" for number in range(3)]
    assert crew.line() == ""


def test_what_keeps_a_worker_from_starting_is_said_once() -> None:
    crew = Crew("3", "fails")

    assert crew.line() == "worker 0 cannot start"
    assert crew.line() == ""
    assert crew.process.wait(10) == 3
    crew.end()
