"""The server's side of `media.worker`: one such process, started when it is first needed and ended when it is idle."""

import asyncio
import contextlib
import sys

import msgspec
import structlog

from parley.media.task import Found, Task
from parley.media.types import UNKNOWN

TIMEOUT_S = 30.0
"""For one file. A process that takes longer is ended."""
IDLE_S = 60.0
TASKS = 500
"""After so many a new process is started: libraries leak."""

log = structlog.stdlib.get_logger("parley.media")
_decode = msgspec.json.Decoder(Found).decode


class Inspector:
    """Looks into one file at a time; others wait. `close` at the end."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._tasks = 0
        self._idle: asyncio.TimerHandle | None = None

    async def look(self, task: Task) -> Found:
        """What is in the file. One that ends the process, or takes too long, is bytes of no known type."""
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    return await self._ask(task)
            except (TimeoutError, OSError, msgspec.MsgspecError, ValueError) as error:
                log.warning("file_not_inspected", type=task.type, error=type(error).__name__)
                await self._end()
                return Found(UNKNOWN)
            except asyncio.CancelledError:
                await self._end()  # its answer must not be taken for the next one's
                raise
            finally:
                self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._let_go)

    async def _ask(self, task: Task) -> Found:
        process = self._process
        if process is None or process.returncode is not None or self._tasks >= TASKS:
            process = await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        self._tasks += 1
        process.stdin.write(msgspec.json.encode(task) + b"\n")
        await process.stdin.drain()
        return _decode(await process.stdout.readline())

    async def _start(self) -> asyncio.subprocess.Process:
        await self._end()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "parley.media.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self._tasks = 0
        return self._process

    def _let_go(self) -> None:
        """Its input ends, and so does it."""
        if self._process is not None and self._process.stdin is not None and not self._turn.locked():
            self._process.stdin.close()
            self._process = None

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def close(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        await self._end()
