"""Uploads as older clients make them: a file cut into numbered chunks, sent in any order, merged at the end. The same
store, the same bounds; the client's hash of the file is a name among its own uploads and nothing more."""

from collections.abc import AsyncIterator

import msgspec

from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ConversationId
from parley.services.files.names import NAME_CHARS
from parley.services.files.staging import Part, PartLost
from parley.services.files.uploads import NewUpload, Uploads
from parley.store.sql import files as sql
from parley.store.sql.files import FileRow, UploadRow

CHUNKS = 10_000
CHUNK_BYTES = 64 * 1024 * 1024
HASH_CHARS = 128
WRITE_BYTES = 1 << 20


class Begun(msgspec.Struct, frozen=True):
    """An upload and its missing chunks; or, with `file`, a file of the asker's own that is there already."""

    id: int
    chunk_bytes: int
    missing: list[int]
    file: FileRow | None = None


class Chunked:
    """The service beside `Uploads`, on the same uploads."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._database = uploads.database
        self._writing: dict[int, int] = {}

    async def begin(
        self, actor: Actor, *, name: str, size: int, client_hash: str, chunk_bytes: int, conversation: ConversationId
    ) -> Begun:
        """A new upload, or the one that the same client left under the same hash. Raises as `Uploads.create`."""
        if not 1 <= chunk_bytes <= CHUNK_BYTES or size > CHUNKS * chunk_bytes or size < 1:
            raise ChatError(
                Code.BAD_PAYLOAD, f"1 to {CHUNKS} chunks of at most {CHUNK_BYTES} bytes are wanted, and a size above 0."
            )
        if not 1 <= len(client_hash) <= HASH_CHARS or "\0" in client_hash or len(name) > 100 * NAME_CHARS:
            raise ChatError(Code.BAD_PAYLOAD, f"A hash of 1 to {HASH_CHARS} characters is wanted.")
        file = await self._database.read(lambda c: sql.file_by_hash(c, actor.user_id, client_hash, size))
        if file is not None:
            return Begun(file.id, chunk_bytes, [], file)
        row = await self._database.read(lambda c: sql.upload_by_hash(c, actor.user_id, client_hash, size))
        if row is None or row.chunk_bytes != chunk_bytes or row.conversation_id != conversation:
            wanted = NewUpload(name, size, conversation, client_hash=client_hash, chunk_bytes=chunk_bytes)
            row = await self._uploads.create(actor, wanted)
        return Begun(row.id, chunk_bytes, await self._missing(row))

    async def put(self, actor: Actor, upload_id: int, index: int, body: AsyncIterator[bytes]) -> int:
        """One chunk, whole or not at all. How many are missing then. Raises bad_payload for one of another length."""
        row = await self._own(actor, upload_id)
        length = min(row.chunk_bytes, row.size - index * row.chunk_bytes)
        if index < 0 or length <= 0:
            raise ChatError(Code.BAD_PAYLOAD, "There is no chunk of this number.")
        if self._uploads.is_busy(upload_id):
            raise ChatError(Code.UPLOAD_LOCKED)
        self._writing[upload_id] = self._writing.get(upload_id, 0) + 1
        try:
            part = await self._uploads.open_part(row)
            try:
                await self._write(part, index, index * row.chunk_bytes, length, body)
            except OSError as error:
                raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after_ms=2000) from error
            finally:
                await self._uploads.threads.run(part.close)
        finally:
            self._writing[upload_id] -= 1
            if not self._writing[upload_id]:
                del self._writing[upload_id]
        missing = await self._missing(row)
        done = row.size - len(missing) * row.chunk_bytes
        self._uploads.progress.moved(row, actor.name, min(row.size, max(0, done)))
        return len(missing)

    async def _write(self, part: Part, index: int, at: int, length: int, body: AsyncIterator[bytes]) -> None:
        gathered: list[bytes] = []
        size = taken = 0
        async for piece in body:
            taken += len(piece)
            if taken > length:
                raise ChatError(Code.BAD_PAYLOAD, f"This chunk has {length} bytes, and more came.")
            gathered.append(piece)
            size += len(piece)
            if size >= WRITE_BYTES:
                await self._uploads.threads.run(lambda at=at, pieces=gathered: part.write_chunk(at, pieces))  # type: ignore[misc]
                at, gathered, size = at + size, [], 0
        if taken != length:
            raise ChatError(Code.BAD_PAYLOAD, f"This chunk has {length} bytes, and {taken} came.")
        await self._uploads.threads.run(lambda: part.write_chunk(at, gathered))
        await self._uploads.threads.run(lambda: part.confirm_chunk(index))

    async def merge(self, actor: Actor, upload_id: int) -> FileRow:
        """Make it a file; again and again with the same answer. Raises offset_mismatch while chunks are missing."""
        try:
            row = await self._own(actor, upload_id)
        except ChatError:
            file = await self._database.read(lambda c: sql.file(c, upload_id))
            if file is None or file.owner_id != actor.user_id:
                raise
            return file
        missing = await self._missing(row)
        if missing:
            raise ChatError(Code.OFFSET_MISMATCH, f"{len(missing)} chunks are missing, {missing[0]} the first.")
        if self._writing.get(upload_id):
            raise ChatError(Code.UPLOAD_LOCKED)
        await self._uploads.finish(row, actor)
        file = await self._database.read(lambda c: sql.file(c, upload_id))
        if file is None:
            raise ChatError(Code.UNKNOWN_FILE)
        return file

    async def _own(self, actor: Actor, upload_id: int) -> UploadRow:
        row = await self._uploads.own(actor, upload_id)
        if row is None or not row.chunk_bytes:
            raise ChatError(Code.UNKNOWN_FILE)
        return row

    async def _missing(self, row: UploadRow) -> list[int]:
        try:
            there = await self._uploads.threads.run(lambda: self._uploads.staging.chunks(row.id))
        except PartLost:
            await self._uploads.lost(row)
            raise ChatError(Code.UNKNOWN_FILE) from None
        return [index for index in range(-(-row.size // row.chunk_bytes)) if index not in there]
