"""Passwords: argon2id, on threads of their own, few of them and with a short queue.

One check takes a tenth of a second and 64 MiB by design; without a bound, a flood of logins would stop the server.
"""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from parley.protocol.errors import ChatError, Code

T = TypeVar("T")
THREADS = 2
WAITING = 64
"""Checks that may wait, about three seconds' worth; the next one is `busy`."""


class Passwords:
    """Hash and check. Every check costs the same, whether or not there is anything to check against."""

    def __init__(self, hasher: PasswordHasher | None = None, threads: int = THREADS, waiting: int = WAITING) -> None:
        self._hasher = hasher or PasswordHasher()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="parley-password")
        self._room = threads + waiting
        self._inside = 0
        self._nobodys: str | None = None

    def start(self) -> None:
        """Make the hash for nobody, so that not even the first wrong name takes longer."""
        self._pool.submit(self._nobody)

    async def hashed(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(password))

    async def fits(self, password: str, password_hash: str | None) -> bool:
        """False for an account that has no password, or is not there, after the same work. Raises busy."""
        return await self._run(lambda: self._fits(password, password_hash))

    def outdated(self, password_hash: str) -> bool:
        """Was it made with other costs than are asked for now?"""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _fits(self, password: str, password_hash: str | None) -> bool:
        try:
            self._hasher.verify(password_hash or self._nobody(), password)
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    def _nobody(self) -> str:
        """A hash no password fits. Two at once only make it twice."""
        if self._nobodys is None:
            self._nobodys = self._hasher.hash(secrets.token_urlsafe(32))
        return self._nobodys

    async def _run(self, work: Callable[[], T]) -> T:
        if self._inside >= self._room:
            raise ChatError(Code.BUSY, retry_after_ms=2000)
        self._inside += 1
        running = asyncio.get_running_loop().run_in_executor(self._pool, work)
        # Counted until the thread is done: a caller that gives up does not free the thread.
        running.add_done_callback(lambda _: self._leave())
        return await asyncio.shield(running)

    def _leave(self) -> None:
        self._inside -= 1
