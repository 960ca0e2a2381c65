"""A process that dies, or whose disk fails, in the middle: what it acknowledged is there, and nothing is half there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pytest
from tests.store.laws import acknowledged_is_stored
from tests.store.stores import KITS, Store

ROOT = Path(__file__).parents[2]
ROUNDS = 4


@contextmanager
def appender(folder: Path, name: str, *around: str) -> Iterator[subprocess.Popen[str]]:
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    command = [*around, sys.executable, "-m", "tests.store.appender", str(folder), name]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """With whatever was put around it: a tracer that is killed alone leaves the traced one running."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def said(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line.rstrip("\n")


def acks(lines: list[str]) -> dict[str, int]:
    return {client_id: int(seq) for _, client_id, seq in (line.split(" ") for line in lines if line.startswith("ack "))}


def log_of(folder: Path) -> list[tuple[int, str]]:
    store = Store(KITS["sqlite"], folder).open()
    try:
        assert store.rows("PRAGMA integrity_check") == [("ok",)]
        assert store.head(store.lobby) == len(store.log(store.lobby))
        return [(entry.seq, entry.client_id) for entry in store.log(store.lobby)]
    finally:
        store.close()


@pytest.mark.crash
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """At random moments, over and over on the same folder."""
    random = Random(7)
    acknowledged: dict[str, int] = {}
    for n in range(ROUNDS):
        with appender(tmp_path, f"r{n}") as process:
            lines = said(process)
            heard = [next(lines) for _ in range(random.randint(2, 300))]
            kill(process)
            # What it had still said before it died counts too; a line that was cut was not said.
            acknowledged |= acks([*heard, *list(lines)[:-1]])
        acknowledged_is_stored(log_of(tmp_path), acknowledged)
    assert len(acknowledged) > 100


def can_trace() -> bool:
    """Inside some containers even root may not."""
    strace = shutil.which("strace")
    return strace is not None and subprocess.run([strace, "-o", os.devnull, "true"], check=False).returncode == 0


@pytest.mark.crash
@pytest.mark.skipif(not can_trace(), reason="strace is not there or may not trace")
@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("fdatasync:error=EIO:when=40", "StoreBroken"),
        ("pwrite64:error=ENOSPC:when=40+", "StoreUnavailable"),
    ],
    ids=["fsync fails", "disk is full"],
)
def test_a_disk_that_fails_is_never_an_ack(tmp_path: Path, fault: str, answer: str) -> None:
    """A real error of a real call: the batch is refused as what it is, and what was acknowledged is there."""
    with appender(tmp_path, "before") as process:
        lines = said(process)
        before = acks([next(lines) for _ in range(20)])
    call = fault.partition(":")[0]
    inject = ("strace", "-f", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={fault}")

    with appender(tmp_path, "during", *inject) as process:
        assert process.stdin is not None
        lines = said(process)
        heard = []
        for line in lines:
            heard.append(line)
            if not line.startswith(("ack", "ready")):
                break
        if answer == "StoreBroken":
            # It must not try again: an fsync that succeeds now would prove nothing.
            process.stdin.write("again\n")
            process.stdin.flush()
            heard.append(next(lines))

    assert heard[-1] == answer, heard[-3:]
    during = acks(heard)
    assert len(during) >= 5
    acknowledged_is_stored(log_of(tmp_path), before | during)
