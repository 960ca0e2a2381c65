"""Who may read a file, and its bytes."""

from collections.abc import AsyncIterator

from sqlalchemy import Connection

from parley.blobs.interface import BlobMissing, Blobs, BlobsUnavailable, key_of
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.services.files.links import Links, Purpose
from parley.store.interface import Database
from parley.store.sql import files as sql
from parley.store.sql.files import FileRow


class Files:
    """The service. Raises ChatError: unknown_file for what there is not, or not for this reader."""

    def __init__(self, database: Database, blobs: Blobs, links: Links) -> None:
        self._database = database
        self._blobs = blobs
        self.links = links

    async def file(self, actor: Actor, file_id: int) -> FileRow:
        """The file, if the actor may read it at this moment: a conversation of theirs holds it, or it is their own and
        none does."""

        def question(connection: Connection) -> FileRow | None:
            return None if actor.guest else sql.readable(connection, file_id, actor.user_id)

        return _there(await self._database.read(question))

    async def linked(self, file_id: int, purpose: Purpose, until: int, signature: str) -> FileRow:
        """The file that a signed link names. Raises invalid_link."""
        self.links.check(file_id, purpose, until, signature)
        return _there(await self._database.read(lambda connection: sql.file(connection, file_id)))

    async def bytes_of(
        self, file: FileRow, start: int, length: int, *, thumbnail: bool = False
    ) -> AsyncIterator[bytes]:
        """Raises storage_unavailable before the first piece, BlobsUnavailable after."""
        try:
            return await self._blobs.read(key_of(file.sha256, file.blob_id, thumbnail=thumbnail), start, length)
        except BlobsUnavailable as error:
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after_ms=2000) from error
        except BlobMissing:
            raise ChatError(Code.UNKNOWN_FILE) from None


def _there(file: FileRow | None) -> FileRow:
    if file is None:
        raise ChatError(Code.UNKNOWN_FILE)
    return file
