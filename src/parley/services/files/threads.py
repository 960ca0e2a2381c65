"""Work on files that blocks, on threads; begun work is always waited for, because it holds open files."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
THREADS = 4


class FileThreads:
    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="parley-files")

    def begin(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def run(self, work: Callable[[], T]) -> T:
        return await settled(self.begin(work))

    def close(self) -> None:
        self._pool.shutdown(wait=True)


async def settled(work: "asyncio.Future[T]") -> T:
    """Its result. A cancellation takes effect only when the work has ended."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        work.exception()  # looked at, so that nothing is said of it later
        raise cancelled
    return work.result()
