"""Run the floors, on the server's core: what the same work costs on this machine without a chat server."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley.bench.figures import percentile
from parley.bench.process import Cores, on_core

SOURCES = Path(__file__).parent / "floor"
LONGEST = 300.0


@dataclass(frozen=True, slots=True)
class Durable:
    """`durable.py` at one batch size."""

    rows_per_s: float
    commit_p50_ms: float
    commit_p99_ms: float


@dataclass(frozen=True, slots=True)
class Latency:
    p50_ms: float
    p99_ms: float


class Floors:
    """`folder` is where the programs and the files they write go: the disk that the server writes to."""

    def __init__(self, folder: Path, cores: Cores) -> None:
        self._folder = folder
        self._cores = cores
        self._fanout: Path | None = None
        self.missing = ""
        """Why there is no C floor, if there is none."""

    def prepare(self) -> None:
        """Compile what has to be compiled."""
        compiler = shutil.which("cc")
        if compiler is None:
            self.missing = "no C compiler (cc) here: the fan-out floor and its ratios are left out"
            return
        program = self._folder / "fanout"
        done = subprocess.run(
            [compiler, "-O2", "-w", "-o", str(program), str(SOURCES / "fanout.c")],
            capture_output=True, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            self._fanout = program
        else:
            self.missing = "the C floor did not compile: the fan-out floor and its ratios are left out"

    def send_us(self, receivers: int, size: int, rounds: int) -> float | None:
        """CPU microseconds of one bare `send()` of `size` bytes, in rounds to all. None without a C compiler."""
        if self._fanout is None:
            return None
        asked = [receivers, size, rounds, 1, 1, self._cores.generator]
        return float(self._run([str(self._fanout), *map(str, asked)])["sender_cpu_us_per_delivery"])

    def durable(self, size: int, batch: int, seconds: float) -> Durable:
        """Rows of `size` bytes, `batch` to a commit."""
        found = self._run(
            [sys.executable, str(SOURCES / "durable.py"), str(self._folder), str(size), str(batch), str(seconds)]
        )
        return Durable(found["sqlite"]["rows_per_s"], found["raw"]["p50_ms"], found["raw"]["p99_ms"])

    def round_trip(self, request: int, answer: int, count: int) -> Latency:
        """A request and an answer of these sizes over loopback, between the two cores, with an echo behind it."""
        with on_core(self._cores.server):
            echo = subprocess.Popen(
                [sys.executable, "-S", str(SOURCES / "echo.py"), str(request), str(answer)], stdout=subprocess.PIPE
            )
        try:
            assert echo.stdout is not None
            port = int(echo.stdout.readline())
            with socket.create_connection(("127.0.0.1", port), timeout=10.0) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return _ping(sock, b"x" * request, answer, count)
        finally:
            echo.kill()
            echo.communicate()

    def _run(self, command: list[str]) -> dict[str, Any]:
        with on_core(self._cores.server):
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def _ping(sock: socket.socket, data: bytes, answer: int, count: int) -> Latency:
    took: list[float] = []
    for _ in range(count):
        begin = time.perf_counter()
        sock.sendall(data)
        got = 0
        while got < answer:
            got += len(sock.recv(65_536))
        took.append((time.perf_counter() - begin) * 1e3)
    return Latency(percentile(took, 0.5), percentile(took, 0.99))
