"""What every engine has in common: a folder, a port, a password, and a process that starts, answers and ends."""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from parley.testing.engines import processes
from parley.testing.engines.leftovers import clear_away, make_folder
from parley.testing.server import steady_port

START_S = 60.0
"""The longest a start may take: after a kill it includes the engine's own recovery."""
STOP_S = 30.0
LOG_BYTES = 16 * 1024 * 1024
"""A log that has grown beyond this begins anew at the next start."""

_outliving: list[subprocess.Popen[bytes]] = []
"""Engines that are meant to outlive this program. Polled at every start: until a dead one is waited for, PostgreSQL
takes its number for that of a live one."""


class EngineMissing(Exception):
    """The machine has not the programs; the text says which."""


class EngineDied(Exception):
    """The engine ended, never answered, or did not stop. Carries the end of its output."""


class Engine(ABC):
    """One engine on one folder. `start` makes the data if there is none; data, port and password outlive every end.

    Without a folder it makes one and removes it when the context ends; with a folder it leaves everything there, and
    the caller remembers port and password. As root it runs as the engine's own account, if `account` names one.

    `start`, `stop`, `stop_now` and `restart` block for as long as they take; in a coroutine use `started`, `stopped`,
    `stopped_now` and `restarted`, which do the same in a thread. `kill` is short enough for both. One call at a time.
    """

    name: ClassVar[str]
    account: ClassVar[str | None] = None
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int = 0,
        password: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.programs()
        self._user = _account(self.account)
        self._temporary = folder is None
        if folder is None:
            clear_away()
        self.folder = folder if folder is not None else make_folder(self.name)
        self.host = "127.0.0.1"
        self.port = port or steady_port()
        self.password = password if password is not None else secrets.token_hex(16)
        self.settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        self._give_to_user(self.folder)

    # --- what an engine says of itself -------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def programs(cls) -> Mapping[str, str]:
        """The paths of the programs it needs, by name. Raises `EngineMissing`."""

    @property
    @abstractmethod
    def url(self) -> str:
        """How its clients are told where it is, password and all."""

    @abstractmethod
    def make_data(self, folder: Path) -> None:
        """Make the data of an engine that has never run in `folder`, which does not exist yet."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The command line that runs it in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it answers a real question now, within two seconds or so."""

    # --- its life ----------------------------------------------------------------------------------------------------

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log_path(self) -> Path:
        return self.folder / "log"

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} has not been started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return when it answers. Raises `EngineDied`."""
        assert not self.running, f"{self.name} runs already"
        for process in _outliving:
            process.poll()
        if not self.data.exists():
            # Under another name first: what a crash left half made is not taken for data.
            half = self.folder / "data.half"
            shutil.rmtree(half, ignore_errors=True)
            self.make_data(half)
            half.rename(self.data)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES:
            self.log_path.unlink()
        with self.log_path.open("ab") as log:
            process = self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # it outlives the command that started it, and a terminal's Ctrl-C
                user=self._user,
                extra_groups=None if self._user is None else [],
                group=None if self._user is None else pwd.getpwuid(self._user).pw_gid,
            )
        try:
            self._wait_until_it_answers(process)
        except BaseException:
            self.kill()
            raise

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                process.wait(processes.POLL_S)
            except subprocess.TimeoutExpired:
                if self.answers():
                    return
            else:
                raise EngineDied(f"{self.name}: exit code {process.returncode}\n{self.log_tail()}")
        raise EngineDied(f"{self.name}: no answer after {START_S} s\n{self.log_tail()}")

    def let_go(self) -> int:
        """Let it outlive this program, which has no more to do with it; return its process's number."""
        assert self._process is not None, f"{self.name} has not been started"
        process, self._process = self._process, None
        _outliving.append(process)
        return process.pid

    def kill(self) -> None:
        """kill -9 for every process of the engine, and wait for their end. Does nothing if it has ended."""
        if self._process is None or self._process.poll() is not None:
            return
        family = processes.kill_tree(self._process.pid)
        self._process.wait(STOP_S)
        # The children hold PostgreSQL's shared memory: while one lives, the next start is refused.
        if not processes.wait_until_gone(family, STOP_S):
            raise EngineDied(f"{self.name}: processes left {STOP_S} s after SIGKILL\n{self.log_tail()}")

    def stop(self) -> None:
        """An orderly stop that leaves nothing to recover; clients are cut. `EngineDied` if it had to be killed."""
        self._end(self.stop_signal)

    def stop_now(self) -> None:
        """The quickest stop the engine itself knows: recovery is left to the next start, where it has such a stop."""
        self.stop()

    def _end(self, how: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise EngineDied(f"{self.name}: still alive {STOP_S} s after {how.name}\n{self.log_tail()}") from None

    def restart(self, *, gracefully: bool = False) -> None:
        """End it, by an orderly stop or by kill -9, and start it on the same data and port."""
        if gracefully:
            self.stop()
        else:
            self.kill()
        self.start()

    async def started(self) -> None:
        await asyncio.to_thread(self.start)

    async def stopped(self) -> None:
        await asyncio.to_thread(self.stop)

    async def stopped_now(self) -> None:
        await asyncio.to_thread(self.stop_now)

    async def restarted(self, *, gracefully: bool = False) -> None:
        await asyncio.to_thread(self.restart, gracefully=gracefully)

    def log_tail(self, lines: int = 40) -> str:
        if not self.log_path.exists():
            return "(no output)"
        with self.log_path.open("rb") as file:
            file.seek(max(0, self.log_path.stat().st_size - 64 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    # --- contexts ----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._clean_up()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, trace)

    def _clean_up(self) -> None:
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- for the engines ---------------------------------------------------------------------------------------------

    def run(self, *command: str) -> None:
        """One of the engine's own programs, to its end, as its account. Raises `EngineDied` with its output."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=START_S,
            check=False,
            user=self._user,
            extra_groups=None if self._user is None else [],
            group=None if self._user is None else pwd.getpwuid(self._user).pw_gid,
        )
        if done.returncode != 0:
            raise EngineDied(
                f"{Path(command[0]).name}: exit code {done.returncode}\n{done.stdout.decode(errors='replace')}"
            )

    def write_private(self, name: str, text: str) -> Path:
        """A file in the folder that only the engine's account may read."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)
        self._give_to_user(path)
        return path

    def _give_to_user(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user, pwd.getpwuid(self._user).pw_gid)

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), "LANG": "C.UTF-8", "TZ": "UTC"}


def _account(name: str | None) -> int | None:
    """The user to become, or None to stay who we are: only root can become somebody, and only root must."""
    if name is None or os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise EngineMissing(f"there is no account {name}, and as root it does not run") from None


def find_program(name: str, *folders: Path) -> str:
    """The path of a program on PATH or in one of the folders. Raises `EngineMissing`."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, folders), "/usr/sbin", "/usr/local/sbin"])
    path = shutil.which(name, path=places)
    if path is None:
        raise EngineMissing(f"{name} is not on this machine")
    return path
