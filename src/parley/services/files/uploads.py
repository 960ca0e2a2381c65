"""Uploads that never start over: what a client was told has arrived is on the disk, whatever happens next.

Authorised before a byte is read; counted against the quotas by the declared size; one writer for each upload; a cut
connection keeps what came through it.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import msgspec
import structlog
from sqlalchemy import Connection

from parley.clock import Clock
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ConversationId
from parley.services.files.finish import Finisher
from parley.services.files.names import Recording, clean_name
from parley.services.files.progress import Progress
from parley.services.files.receiving import BodyCut, Checksum, Receiving, Writer
from parley.services.files.staging import Part, PartLocked, PartLost, Staging
from parley.services.files.threads import FileThreads
from parley.settings import Limits
from parley.store.interface import Database
from parley.store.sql import files as sql
from parley.store.sql.access import enter
from parley.store.sql.files import UploadRow

STALLED_S = 3.0
"""After so much silence another request of the same user takes the upload over: it is the same client, come back."""
FINISH_S = 60.0
OPEN_UPLOADS = 100
"""Of one account at once."""
HOUR_MS = 3_600_000

__all__ = ["BodyCut", "Checksum", "NewUpload", "State", "Uploads"]

log = structlog.stdlib.get_logger("parley.files")


class Ids(Protocol):
    def next(self) -> int: ...


class NewUpload(msgspec.Struct, frozen=True):
    """Ask to bring a file."""

    name: str
    size: int
    conversation_id: ConversationId | None = None
    recording: Recording = msgspec.field(default_factory=Recording)
    client_hash: str | None = None
    chunk_bytes: int = 0


class State(msgspec.Struct, frozen=True):
    """How far an upload is; `expires_at` None: it is a file now."""

    id: int
    size: int
    offset: int
    expires_at: int | None


class Uploads:
    """The service. Raises ChatError: unknown_file for what is not the actor's own."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        limits: Limits,
        staging: Staging,
        finisher: Finisher,
        progress: Progress,
        threads: FileThreads,
    ) -> None:
        """`ids` is asked in write transactions only, on their thread."""
        self.database = database
        self._clock = clock
        self._ids = ids
        self._limits = limits
        self.staging = staging
        self.finisher = finisher
        self.progress = progress
        self.threads = threads
        self._writers: dict[int, Writer] = {}
        self._stopping = False

    # Beginning and ending

    async def create(self, actor: Actor, wanted: NewUpload) -> UploadRow:
        """Raises file_too_large, quota_exceeded, limit_reached, and what keeps the actor out of the conversation."""
        if self._limits.upload_bytes and wanted.size > self._limits.upload_bytes:
            raise ChatError(Code.FILE_TOO_LARGE, f"A file has at most {self._limits.upload_bytes} bytes.")
        now = self._clock.now_ms()

        def change(connection: Connection) -> UploadRow:
            if wanted.conversation_id is not None:
                enter(connection, wanted.conversation_id, actor.user_id)
            self._check_room(connection, actor, wanted.size)
            row = UploadRow(
                id=self._ids.next(), owner_id=actor.user_id, conversation_id=wanted.conversation_id,
                name=clean_name(wanted.name), size=wanted.size,
                recording=msgspec.json.encode(wanted.recording).decode(), client_hash=wanted.client_hash,
                chunk_bytes=wanted.chunk_bytes, staging=self.staging.id, created_at=now, expires_at=self._expiry(),
            )  # fmt: skip
            sql.add_upload(connection, row)
            return row

        row = await self.database.write(change)
        try:
            await self.threads.run(lambda: self.staging.make(row.id))
        except OSError as error:
            await self.database.write(lambda connection: sql.drop_upload(connection, row.id))
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after_ms=2000) from error
        self.progress.moved(row, actor.name, 0)
        if not row.size:
            await self.finish(row, actor)
        return row

    def _check_room(self, connection: Connection, actor: Actor, size: int) -> None:
        limits = self._limits
        if sql.open_uploads(connection, actor.user_id) >= OPEN_UPLOADS:
            raise ChatError(Code.LIMIT_REACHED, f"At most {OPEN_UPLOADS} uploads at once.")
        if limits.quota_bytes and sql.used_by(connection, actor.user_id) + size > limits.quota_bytes:
            raise ChatError(Code.QUOTA_EXCEEDED, f"Your files may take {limits.quota_bytes} bytes together.")
        if limits.server_quota_bytes and sql.used_in_all(connection) + size > limits.server_quota_bytes:
            raise ChatError(Code.QUOTA_EXCEEDED, "This server has no room left for files.")

    def _expiry(self) -> int:
        return self._clock.now_ms() + self._limits.upload_hours * HOUR_MS

    async def terminate(self, actor: Actor, upload_id: int) -> None:
        """Give an upload up, or take a file back that no message holds. Raises unsupported if one does."""
        row = await self.own(actor, upload_id)
        writer = self._writers.get(upload_id)
        if writer is not None:
            writer.cut()
            await writer.released.wait()

        def change(connection: Connection) -> bool:
            return sql.drop_upload(connection, upload_id) or sql.drop_file(connection, upload_id)

        if not await self.database.write(change):
            raise ChatError(Code.UNSUPPORTED, "A message holds this file: delete the message.")
        self.finisher.forget(upload_id)
        await self.threads.run(lambda: self.staging.remove(upload_id))
        if row is not None:
            self.progress.given_up(row, actor.name)

    # How far it is

    async def state(self, actor: Actor, upload_id: int) -> State:
        """Where to go on from. Of an upload whose bytes are all here, it waits until it is a file."""
        row = await self.own(actor, upload_id)
        if row is None:
            return await self._file_state(upload_id)
        writer = self._writers.get(upload_id)
        if writer is not None:
            await self._hurry(writer)
            writer = self._writers.get(upload_id)
        offset = await self._sure(row) if writer is None else writer.confirmed
        if offset == row.size:
            await self.finish(row, actor)
            return State(row.id, row.size, row.size, None)
        return State(row.id, row.size, offset, row.expires_at)

    async def _file_state(self, file_id: int) -> State:
        file = await self.database.read(lambda connection: sql.file(connection, file_id))
        if file is None:
            raise ChatError(Code.UNKNOWN_FILE)
        return State(file_id, file.uploaded_size, file.uploaded_size, None)

    async def _sure(self, row: UploadRow) -> int:
        try:
            return await self.threads.run(lambda: self.staging.sure(row.id))
        except PartLost:
            await self.lost(row)
            raise ChatError(Code.UNKNOWN_FILE) from None

    async def lost(self, row: UploadRow) -> None:
        """Its bytes are not here. Raises upload_elsewhere if they are somewhere else; or else it is gone."""
        if row.staging != self.staging.id:
            raise ChatError(Code.UPLOAD_ELSEWHERE, retry_after_ms=200)
        log.error("upload_lost", upload=str(row.id))
        await self.database.write(lambda connection: sql.drop_upload(connection, row.id))

    async def own(self, actor: Actor, upload_id: int) -> UploadRow | None:
        """The actor's upload, if they may still bring it where they meant to; None: it is a file of theirs."""

        def question(connection: Connection) -> UploadRow | None:
            row = sql.upload(connection, upload_id)
            owner = row.owner_id if row else None
            if row is None and (file := sql.file(connection, upload_id)) is not None:
                owner = file.owner_id
            if owner != actor.user_id:
                raise ChatError(Code.UNKNOWN_FILE)
            if row is not None and row.conversation_id is not None:
                enter(connection, row.conversation_id, actor.user_id)
            return row

        return await self.database.read(question)

    # Bytes

    async def append(
        self,
        actor: Actor,
        upload_id: int,
        offset: int,
        body: AsyncIterator[bytes],
        *,
        length: int | None = None,
        checksum: Checksum | None = None,
    ) -> State:
        """Take a stretch that begins at `offset`. Raises offset_mismatch, upload_locked, checksum_mismatch,
        file_too_large for more than was declared, storage_unavailable, BodyCut. What was confirmed stays in each of
        these."""
        row = await self.own(actor, upload_id)
        if row is None:
            state = await self._file_state(upload_id)
            if offset != state.size or length:
                raise ChatError(Code.OFFSET_MISMATCH, f"The upload is complete at {state.size}.")
            return state
        if row.chunk_bytes:
            raise ChatError(Code.UNSUPPORTED, "This upload comes in chunks.")
        if length is not None and offset + length > row.size:
            raise ChatError(Code.FILE_TOO_LARGE, f"The upload was declared with {row.size} bytes.")
        await self._extend(row)
        async with _Claim(self, row.id) as writer:
            part = await self.open_part(row)
            try:
                writer.confirmed = part.confirmed
                if part.confirmed != offset:
                    raise ChatError(Code.OFFSET_MISMATCH, f"The upload is at {part.confirmed}.")
                receiving = Receiving(
                    row, actor.name, part, writer, checksum,
                    finisher=self.finisher, progress=self.progress, threads=self.threads,
                )  # fmt: skip
                await receiving.run(body)
            except BodyCut:
                if self._stopping:
                    raise ChatError(Code.DRAINING, retry_after_ms=1000) from None
                raise
            finally:
                await self.threads.run(part.close)
            confirmed = writer.confirmed
        if confirmed == row.size:
            await self.finish(row, actor)
            return State(row.id, row.size, row.size, None)
        return State(row.id, row.size, confirmed, self._expiry())

    async def open_part(self, row: UploadRow) -> Part:
        """Raises upload_locked, upload_elsewhere, unknown_file, storage_unavailable."""
        try:
            return await self.threads.run(lambda: self.staging.open(row.id, chunked=bool(row.chunk_bytes)))
        except PartLocked:
            raise ChatError(Code.UPLOAD_LOCKED) from None
        except PartLost:
            await self.lost(row)
            raise ChatError(Code.UNKNOWN_FILE) from None
        except OSError as error:
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after_ms=2000) from error

    async def _extend(self, row: UploadRow) -> None:
        """It lives on while it is worked on; written down only when half of its time is over."""
        expiry = self._expiry()
        if expiry - row.expires_at > self._limits.upload_hours * HOUR_MS // 2:
            await self.database.write(lambda connection: sql.extend(connection, row.id, expiry))

    async def _hurry(self, writer: Writer) -> None:
        """A writer whose client has gone silent lets go for the client that has come back."""
        if self.now() - writer.heard > STALLED_S:
            writer.cut()
            await writer.released.wait()

    async def claim(self, upload_id: int) -> Writer:
        """Raises upload_locked."""
        if self._stopping:
            raise ChatError(Code.DRAINING, retry_after_ms=1000)
        if (other := self._writers.get(upload_id)) is not None:
            await self._hurry(other)
        if upload_id in self._writers or self.finisher.is_running(upload_id):
            raise ChatError(Code.UPLOAD_LOCKED)
        writer = self._writers[upload_id] = Writer(self.now())
        return writer

    async def stop(self) -> None:
        """Take no more; what is on its way is cut, and what came of it is kept."""
        self._stopping = True
        for writer in list(self._writers.values()):
            writer.cut()
            await writer.released.wait()

    def release(self, upload_id: int) -> None:
        self._writers.pop(upload_id).released.set()

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def is_busy(self, upload_id: int) -> bool:
        return upload_id in self._writers or self.finisher.is_running(upload_id)

    async def finish(self, row: UploadRow, actor: Actor) -> None:
        """Make it a file. Raises busy if that takes long; it goes on meanwhile."""
        try:
            async with asyncio.timeout(FINISH_S):
                await self.finisher.finish(row)
        except TimeoutError:
            raise ChatError(Code.BUSY, "The file is still being stored.", retry_after_ms=5000) from None
        self.progress.done(row, actor.name)


class _Claim:
    """The upload's one place for a writer."""

    def __init__(self, uploads: Uploads, upload_id: int) -> None:
        self._uploads = uploads
        self._id = upload_id

    async def __aenter__(self) -> Writer:
        return await self._uploads.claim(self._id)

    async def __aexit__(self, *_: object) -> None:
        self._uploads.release(self._id)
