"""One body on its way to the disk."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import structlog

from parley.protocol.errors import ChatError, Code
from parley.services.files.finish import Finisher
from parley.services.files.progress import Progress
from parley.services.files.staging import SYNC_BYTES, Part, Taker
from parley.services.files.threads import FileThreads, settled
from parley.store.sql.files import UploadRow

WRITE_BYTES = 1 << 20
"""Gathered for one write; a second such buffer fills while it runs, so an upload takes some three of these."""
SILENCE_S = 30.0
"""A body that has not moved for so long is taken for cut."""

log = structlog.stdlib.get_logger("parley.files")


class BodyCut(Exception):
    """The client is gone in the middle of its body: nobody is left to answer."""


class Checksum(msgspec.Struct, frozen=True):
    """What the body must come to, with a fresh hash of its algorithm."""

    expected: bytes
    digest: Any


class Writer:
    """The request that writes to an upload."""

    def __init__(self, heard: float) -> None:
        self.heard = heard
        self.released = asyncio.Event()
        self.patience: asyncio.Timeout | None = None
        self.confirmed = 0
        self.unwanted = False

    def cut(self) -> None:
        """As if its connection had ended."""
        self.unwanted = True
        if self.patience is not None and self.patience.when() is not None and not self.patience.expired():
            self.patience.reschedule(asyncio.get_running_loop().time())


class _Body:
    """Notes the checksum of what is written."""

    def __init__(self, checksum: Checksum) -> None:
        self.checksum = checksum

    def take(self, piece: bytes, at: int) -> None:
        self.checksum.digest.update(piece)


class Receiving:
    """One body on its way to the disk: while a stretch is written, the next one gathers."""

    def __init__(
        self,
        row: UploadRow,
        by_name: str,
        part: Part,
        writer: Writer,
        checksum: Checksum | None,
        *,
        finisher: Finisher,
        progress: Progress,
        threads: FileThreads,
    ) -> None:
        self._finisher = finisher
        self._progress = progress
        self._threads = threads
        self._row = row
        self._by_name = by_name
        self._part = part
        self._writer = writer
        self._checksum = checksum
        self._takers: list[Taker] = [finisher.hasher(row.id, part.confirmed)]
        if checksum is not None:
            self._takers.append(_Body(checksum))
        self._writing: asyncio.Future[None] | None = None
        self._confirming: asyncio.Future[None] | None = None
        self._asked = part.confirmed
        self._gathered: list[bytes] = []
        self._taken = part.confirmed

    async def run(self, body: AsyncIterator[bytes]) -> None:
        end: BaseException | None = None
        try:
            try:
                await self._gather(body)
            except (BodyCut, TimeoutError, asyncio.CancelledError) as error:
                end = error  # what has arrived is kept
            finally:
                self._writer.patience = None  # over: there is nothing left to cut short
            await self._last(cut=end is not None)
        except OSError as error:
            await self._back()
            log.warning("upload_not_written", upload=str(self._row.id), error=str(error))
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after_ms=2000) from error
        except BaseException:
            await self._back()
            raise
        self._writer.confirmed = self._part.confirmed
        if end is not None:
            raise end if isinstance(end, asyncio.CancelledError) else BodyCut

    async def _gather(self, body: AsyncIterator[bytes]) -> None:
        """Read to the end. What is not on its way to the disk yet is in `_gathered`."""
        loop = asyncio.get_running_loop()
        size = 0
        async with asyncio.timeout(SILENCE_S) as patience:
            self._writer.patience = patience
            if self._writer.unwanted:
                self._writer.cut()
            async for piece in body:
                patience.reschedule(loop.time() + SILENCE_S)
                self._writer.heard = loop.time()
                self._taken += len(piece)
                if self._taken > self._row.size:
                    raise ChatError(Code.FILE_TOO_LARGE, f"The upload was declared with {self._row.size} bytes.")
                self._gathered.append(piece)
                size += len(piece)
                if size >= WRITE_BYTES:
                    await self._written()
                    self._writing = self._threads.begin(self._write_job(self._gathered))
                    await self._confirm_in_passing()
                    self._gathered, size = [], 0
                    self._progress.moved(self._row, self._by_name, self._taken)

    def _write_job(self, pieces: list[bytes]) -> Callable[[], None]:
        return lambda: self._part.write(pieces, self._takers)

    async def _confirm_in_passing(self) -> None:
        """Beside the next writes, one at a time. With a checksum nothing is sure before the end."""
        if self._checksum is None and self._part.offset - self._asked >= SYNC_BYTES:
            await self._confirmed()
            self._asked = self._part.offset
            self._confirming = self._threads.begin(self._part.confirm)

    async def _confirmed(self) -> None:
        if self._confirming is not None:
            confirming, self._confirming = self._confirming, None
            await settled(confirming)
            self._writer.confirmed = self._part.confirmed

    async def _written(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await settled(writing)

    async def _last(self, *, cut: bool) -> None:
        await self._written()
        await self._confirmed()
        if cut and self._checksum is not None:
            await self._back()  # nobody can say whether it is right
            return
        await self._threads.run(lambda: self._part.write(self._gathered, self._takers))
        if self._checksum is not None and not hmac.compare_digest(
            self._checksum.digest.digest(), self._checksum.expected
        ):
            raise ChatError(Code.CHECKSUM_MISMATCH)
        await self._threads.run(self._part.confirm)

    async def _back(self) -> None:
        """To what is sure; the hash of what came after is no good any more."""
        self._finisher.forget(self._row.id)
        for wait in (self._written, self._confirmed):
            try:
                await wait()
            except OSError:
                pass  # that is why we are here
        await self._threads.run(self._part.rewind)
        self._writer.confirmed = self._part.confirmed
