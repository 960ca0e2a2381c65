"""The real server as a process of its own, for tests that start it, kill it, drain it and start it again.

with running_server(data) as server:
    …server.url…

async with running_server(data) as server:
    server.kill()
    await server.started()
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from types import TracebackType
from typing import IO, Self

import httpx

from parley.testing.store_log import SqliteLog, StoreLog

PARLEY = (sys.executable, "-m", "parley")
START_S = 60.0
"""The longest a start may take: the first one on a busy machine compiles and migrates."""
STOP_S = 20.0
LOG_BYTES = 32 * 1024 * 1024
"""What is kept of a process's output. The rest is read and dropped, so that the server never blocks on it."""
ADDRESS = re.compile(r"(https?)://([^\s/:]+|\[[^\]]+\]):(\d+)")
COMPLAINT = re.compile(r"Traceback \(most recent call last\)|\b(?:error|critical|exception)\b", re.IGNORECASE)

UNLIMITED: Mapping[str, str] = {
    "auth.registration": "open",
    "limits.messages_per_second": "1000000",
    "limits.burst": "1000000",
    "limits.connections_per_address": "100000",
    "limits.connections_per_user": "1000",
}
"""For load, which is not what the limits are there to judge."""


class ServerDied(Exception):
    """The process ended, or never became ready. Carries the end of its output."""


class ServerProcess:
    """One `parley serve` on one data folder. Made by `running_server`; every process it started ends with it.

    `start`, `kill`, `terminate` and `restart` block for as long as they take; in a coroutine use `started`,
    `terminated` and `restarted`, which do the same in a thread. `kill` is short enough for both. One call at a time.
    """

    def __init__(
        self,
        data: Path,
        *,
        settings: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        port: int = 0,
        program: tuple[str, ...] = PARLEY,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.data = data
        self.port = port
        self.host = "127.0.0.1"
        self.settings = dict(settings or {})
        self.log_path = log_path if log_path is not None else data.with_name(f"{data.name}.log")
        self.slowest_start_s = 0.0
        self._program = program
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._readers: list[threading.Thread] = []
        self._address = threading.Event()
        self._logged = 0
        self._log_lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def urls(self) -> list[str]:
        return [self.url]

    def truth(self) -> StoreLog | None:
        """What is stored, for the checker; None if there is no file."""
        return SqliteLog(self.store) if self.store.exists() else None

    @property
    def ws_url(self) -> str:
        return f"ws://{self.host}:{self.port}"

    @property
    def store(self) -> Path:
        return self.data / "parley.db"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server has not been started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return when `/readyz` says so. The port is kept over restarts. Raises `ServerDied`."""
        assert not self.running, "the server runs already"
        self._address.clear()
        begun = time.monotonic()
        process = self._process = subprocess.Popen(
            [
                *self._program, "serve",
                "--host", self.host,
                "--port", str(self.port),
                "--data", str(self.data),
                *self._arguments,
            ],
            env=environment(self.settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        reader = threading.Thread(target=self._read, args=(process.stdout,), name="server-output", daemon=True)
        self._readers.append(reader)
        reader.start()
        try:
            self._wait_until_ready(process, begun + START_S)
        except BaseException:
            self.kill()
            raise
        self.slowest_start_s = max(self.slowest_start_s, time.monotonic() - begun)

    def _wait_until_ready(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        # The reader sets the event also when the output ends, so a server that dies is noticed at once.
        self._address.wait(max(0.0, deadline - time.monotonic()))
        with httpx.Client(base_url=self.url, timeout=2.0, trust_env=False) as http:
            while time.monotonic() < deadline:
                try:
                    process.wait(0.02)
                except subprocess.TimeoutExpired:
                    pass
                else:
                    raise ServerDied(f"exit code {process.returncode}\n{self.log_tail()}")
                try:
                    if http.get("/readyz").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
        raise ServerDied(f"not ready after {START_S} s\n{self.log_tail()}")

    def kill(self) -> None:
        """kill -9, and wait for the end of the process. Does nothing if it has ended."""
        self._end(signal.SIGKILL, STOP_S)

    def terminate(self) -> int:
        """SIGTERM: drain and stop. Returns the exit code. Raises `ServerDied` if it had to be killed."""
        self._end(signal.SIGTERM, STOP_S)
        assert self._process is not None
        return self._process.returncode

    def _end(self, how: signal.Signals, within: float) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(within)
            raise ServerDied(f"still alive {within} s after {how.name}\n{self.log_tail()}") from None
        finally:
            for reader in self._readers:
                reader.join(within)
            self._readers.clear()

    def restart(self, *, gracefully: bool = False) -> None:
        """End the process, by SIGTERM or by kill -9, and start it on the same data and port."""
        if gracefully:
            self.terminate()
        else:
            self.kill()
        self.start()

    async def started(self) -> None:
        await asyncio.to_thread(self.start)

    async def terminated(self) -> int:
        return await asyncio.to_thread(self.terminate)

    async def restarted(self, *, gracefully: bool = False) -> None:
        await asyncio.to_thread(self.restart, gracefully=gracefully)

    # --- its output --------------------------------------------------------------------------------------------------

    def _read(self, output: IO[bytes]) -> None:
        with output, self.log_path.open("ab", buffering=0) as log:
            for line in output:
                with self._log_lock:
                    if self._logged < LOG_BYTES:
                        log.write(line)
                        self._logged += len(line)
                if not self._address.is_set() and (found := ADDRESS.search(line.decode(errors="replace"))):
                    self.port = int(found[3])
                    self._address.set()
        self._address.set()

    def log_tail(self, lines: int = 60) -> str:
        if not self.log_path.exists():
            return "(no output)"
        with self.log_path.open("rb") as file:
            file.seek(max(0, self.log_path.stat().st_size - 64 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    def complaints(self) -> Iterator[str]:
        """Lines of the log that speak of an error. A test that broke nothing expects none."""
        with self.log_path.open(encoding="utf-8", errors="replace") as file:
            yield from (line.rstrip("\n") for line in file if COMPLAINT.search(line))

    # --- contexts ----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    async def __aenter__(self) -> Self:
        await self.started()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def running_server(
    data: Path,
    *,
    settings: Mapping[str, str] | None = None,
    log_path: Path | None = None,
    port: int = 0,
    program: tuple[str, ...] = PARLEY,
    arguments: tuple[str, ...] = (),
) -> ServerProcess:
    """A server on this data folder, as a context, `with` or `async with`: ready on entry, gone on exit.

    `settings` are named as in the documentation, `{"limits.text_chars": "100"}`. The output goes to `log_path`, beside
    the data folder if not given. Port 0 is a free port; a test that restarts the server should take a `steady_port()`.
    `program` is what `serve …` is added to: a control runs a sabotaged server instead; `arguments` are added after it.
    """
    return ServerProcess(data, settings=settings, log_path=log_path, port=port, program=program, arguments=arguments)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without its own Parley settings, with these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    ours = {f"PARLEY_{name.upper().replace('.', '__')}": value for name, value in settings.items()}
    return inherited | ours | {"PYTHONUNBUFFERED": "1"}


def steady_port(random: Random | None = None) -> int:
    """A free port below those that the kernel gives to outgoing connections.

    A client that knocks at a port of that range while its server is down can be given the same port as its own, talk to
    itself and keep the server from coming back.
    """
    choose = random if random is not None else Random()
    for _ in range(200):
        port = choose.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port between 20000 and 32000")
