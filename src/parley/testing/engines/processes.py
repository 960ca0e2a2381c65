"""Processes by their number, whoever started them: which are alive, which belong together, and how they end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

POLL_S = 0.02


def alive(pid: int) -> bool:
    """A process that has ended and was not yet waited for counts as gone, once the last of its threads has.

    The first thread may be dead while another still holds the port.
    """
    fields = _fields(pid)
    if not fields:
        return False
    state, threads = fields[0], int(fields[17])
    return state not in {"Z", "X"} or threads > 1


def works_in(pid: int, folder: Path) -> bool:
    """Whether this is still the process that was started in `folder`, and not a stranger with a number used again."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder.resolve())
    except OSError:
        return False


def birth(pid: int) -> str | None:
    """What tells a process from a later one of the same number; None if there is no such process."""
    fields = _fields(pid)
    return f"{pid} {fields[19]}" if fields else None  # clock ticks from the machine's start to the process's


def working_in(folder: Path) -> list[int]:
    """Every process whose current folder is this one or below it."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in numbers if works_in(pid, folder)]


def wait_until_gone(pids: Iterable[int], within_s: float) -> bool:
    """Whether all of them were gone in time."""
    deadline = time.monotonic() + within_s
    left = [pid for pid in pids if alive(pid)]
    while left and time.monotonic() < deadline:
        time.sleep(POLL_S)  # nobody tells the end of a process that is not a child
        left = [pid for pid in left if alive(pid)]
    return not left


def tell(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        pass  # it has gone by itself


def kill_tree(pid: int) -> list[int]:
    """SIGKILL for a process and all below it, and return their numbers; they may live for another moment.

    PostgreSQL puts each of its children in a process group of its own, so that the parent's group is not enough.
    """
    tell(pid, signal.SIGSTOP)  # or it has another child while its children are counted
    family = [pid, *descendants(pid)]
    for member in family:
        tell(member, signal.SIGKILL)
    return family


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _fields(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _fields(pid: int) -> list[str]:
    """What stands in /proc/<pid>/stat after the name: state, parent, group … Empty if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    # The name stands in brackets and may hold anything, brackets too.
    return text.rpartition(")")[2].split()
