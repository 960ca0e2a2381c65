"""What the kernel says of a process: its CPU time and memory; and which core it runs on."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Cores(NamedTuple):
    """Server and floors on one, the generator on the other. With a single core both are the same."""

    server: int
    generator: int


def choose_cores() -> Cores:
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[-1])


def cpu_seconds(pid: int) -> float:
    """User and system time of all its threads.

    The process's own CPU clock: the sum that /proc/PID/stat shows, which there is cut to hundredths of a second.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine_seconds() -> float:
    """CPU time of everything that runs on this machine, on all its cores."""
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def pss_bytes(pid: int) -> int:
    """Memory of the process, shared pages counted in shares."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not tell the PSS")


def pin(pid: int, core: int) -> None:
    """Every thread of the process; those it starts later inherit it."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), {core})


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """This thread, and the processes it starts meanwhile, run there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_file_limit() -> int:
    """As many open files as the system lets us have, for us and the processes we start. Returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Stopwatch:
    """Wall and CPU time since it was made, of this process and, if one is named, of a server's."""

    def __init__(self, server: int | None) -> None:
        self._pid = server
        self._wall = time.perf_counter()
        self._own = time.process_time()
        self._machine = machine_seconds()
        self._server = cpu_seconds(server) if server is not None else 0.0

    def read(self) -> Spent:
        wall = time.perf_counter() - self._wall
        own = time.process_time() - self._own
        server = cpu_seconds(self._pid) - self._server if self._pid is not None else None
        return Spent(wall, own, server, max(0.0, machine_seconds() - self._machine - own - (server or 0.0)))


class Spent(NamedTuple):
    wall: float
    generator: float
    server: float | None
    others: float
    """Of everything else on the machine."""

    @property
    def generator_share(self) -> float:
        """Of its core. Near 1, the generator was the limit and not the server."""
        return self.generator / self.wall

    @property
    def others_share(self) -> float:
        """Of all cores."""
        return self.others / self.wall / (os.cpu_count() or 1)

    @property
    def server_share(self) -> float | None:
        return None if self.server is None else self.server / self.wall
