"""What becomes of an upload whose bytes are all here: looked into, stored under its content, and made a file.

Each step can be done again. Until the last one, a transaction, the upload is as it was; a crash anywhere before it
costs only the work.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from parley.blobs.interface import Blobs, BlobsUnavailable, key_of
from parley.clock import Clock
from parley.media.task import Found, Task
from parley.media.types import AUDIO, HEAD, INSPECTED, VIDEO, type_of
from parley.protocol.errors import ChatError, Code
from parley.services.files.names import Recording
from parley.services.files.staging import Hashed, Staging
from parley.services.files.threads import FileThreads
from parley.store.interface import Database
from parley.store.sql import files as sql
from parley.store.sql.files import BlobRow, UploadRow

ATTEMPTS = 5
"""Content may be stored, or swept, by somebody else between the look and the transaction."""
HASHERS = 1000

log = structlog.stdlib.get_logger("parley.files")


class Looks(Protocol):
    async def look(self, task: Task) -> Found: ...


class Content(msgspec.Struct, frozen=True):
    """What will be stored, and what is known of it."""

    path: Path
    sha256: str
    size: int
    found: Found


class Finisher:
    """One at a time for each upload; whoever asks meanwhile waits for the same."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        staging: Staging,
        blobs: Blobs,
        inspector: Looks,
        threads: FileThreads,
        *,
        strip: bool,
    ) -> None:
        self._database = database
        self._clock = clock
        self._staging = staging
        self._blobs = blobs
        self._inspector = inspector
        self._threads = threads
        self._strip = strip
        self._running: dict[int, asyncio.Task[None]] = {}
        self._hashers: dict[int, Hashed] = {}

    def hasher(self, upload_id: int, offset: int) -> Hashed:
        """What notes the content while it is written. Forgotten after a restart: the bytes are then read once more."""
        known = self._hashers.pop(upload_id, None)
        if known is None or known.upto != offset:
            known = Hashed()
        if len(self._hashers) >= HASHERS:
            del self._hashers[next(iter(self._hashers))]
        self._hashers[upload_id] = known
        return known

    def forget(self, upload_id: int) -> None:
        self._hashers.pop(upload_id, None)

    async def finish(self, upload: UploadRow) -> None:
        """Returns when the file is there. Goes on if the caller is cancelled. Raises ChatError, StoreUnavailable."""
        task = self._running.get(upload.id)
        if task is None:
            task = self._running[upload.id] = asyncio.create_task(self._finish(upload))
            task.add_done_callback(lambda done: self._ended(upload.id, done))
        await asyncio.shield(task)

    def _ended(self, upload_id: int, task: asyncio.Task[None]) -> None:
        del self._running[upload_id]
        if not task.cancelled():
            task.exception()  # everybody who waited has it

    def is_running(self, upload_id: int) -> bool:
        return upload_id in self._running

    async def _finish(self, upload: UploadRow) -> None:
        try:
            content = await self._look(upload)
            await self._store(upload, content)
        except (OSError, BlobsUnavailable) as error:
            log.warning("upload_not_finished", upload=str(upload.id), error=str(error)[:200])
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after_ms=2000) from error
        self.forget(upload.id)
        await self._threads.run(lambda: self._staging.remove(upload.id))

    async def close(self) -> None:
        """What runs is left to the next start."""
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    # What it is

    async def _look(self, upload: UploadRow) -> Content:
        path = self._staging.path(upload.id)
        type_ = type_of(await self._threads.run(lambda: _head(path)))
        found = Found(type_)
        if type_ in INSPECTED and upload.size:
            clean, small = (self._staging.beside(upload.id, suffix) for suffix in ("clean", "small"))
            found = await self._inspector.look(Task(str(path), type_, str(clean) if self._strip else None, str(small)))
        if found.cleaned_sha256 is not None:
            return Content(self._staging.beside(upload.id, "clean"), found.cleaned_sha256, found.cleaned_size, found)
        hashed = self._hashers.get(upload.id)
        if hashed is not None and hashed.upto == upload.size:
            sha256 = hashed.sha256.hexdigest()
        else:
            sha256 = await self._threads.run(lambda: self._hash(upload.id))
        return Content(path, sha256, upload.size, found)

    def _hash(self, upload_id: int) -> str:
        sha256 = hashlib.sha256()
        for piece in self._staging.pieces(upload_id):
            sha256.update(piece)
        return sha256.hexdigest()

    # Where it goes

    async def _store(self, upload: UploadRow, content: Content) -> None:
        stored = False
        for _ in range(ATTEMPTS):
            if not stored and await self._database.read(lambda c: sql.blob_of(c, content.sha256)) is None:
                await self._put(upload, content)
                stored = True
            try:
                blob_id = await self._database.write(lambda c: self._register(c, upload, content, stored=stored))  # noqa: B023 - run before the next round
            except (IntegrityError, _Swept):
                continue  # the same content came by another upload, or was swept, just now
            if stored and blob_id != upload.id:
                await self._remove(upload, content)
            return
        raise ChatError(Code.BUSY)

    async def _put(self, upload: UploadRow, content: Content) -> None:
        await self._blobs.put(key_of(content.sha256, upload.id), content.path)
        if content.found.thumbnail_size:
            small = self._staging.beside(upload.id, "small")
            await self._blobs.put(key_of(content.sha256, upload.id, thumbnail=True), small)

    async def _remove(self, upload: UploadRow, content: Content) -> None:
        for thumbnail in (False, True):
            await self._blobs.delete(key_of(content.sha256, upload.id, thumbnail=thumbnail))

    def _register(self, connection: Connection, upload: UploadRow, content: Content, *, stored: bool) -> int:
        """The blob that the file stands for; 0 if there is no upload any more. Raises _Swept, IntegrityError."""
        if not sql.drop_upload(connection, upload.id):
            return 0
        now = self._clock.now_ms()
        blob = sql.blob_of(connection, content.sha256)
        if blob is None and stored:
            blob = BlobRow(upload.id, content.sha256)
            sql.add_blob(connection, blob, content.size, content.found.thumbnail_size, now)
        elif blob is None or not sql.refer(connection, blob.id):
            raise _Swept
        sql.add_file(
            connection, upload, name=upload.name, size=content.size, type_=content.found.type, blob_id=blob.id,
            shown=shown(upload, content), now_ms=now,
        )  # fmt: skip
        return blob.id


class _Swept(Exception):
    """Rolls the transaction back, to try again."""


def shown(upload: UploadRow, content: Content) -> str:
    """The attachment as every message carries it, in the native shape."""
    found = content.found
    attachment: dict[str, Any] = {
        "id": str(upload.id), "name": upload.name, "size": content.size, "type": found.type,
    }  # fmt: skip
    if found.width is not None:
        attachment |= {"width": found.width, "height": found.height}
    if found.type in AUDIO | VIDEO:
        said = msgspec.json.decode(upload.recording, type=Recording)
        # A browser's recording may not say how long it is; then its page is believed.
        if duration := found.duration_ms or said.duration_ms:
            attachment["duration_ms"] = duration
        if said.waveform:
            attachment["waveform"] = said.waveform
    return msgspec.json.encode(attachment).decode()


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)
