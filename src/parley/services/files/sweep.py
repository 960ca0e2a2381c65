"""What nobody needs any more: uploads that were left, files that no message holds, content that no file stands for.

Each step forgets in the database first and deletes after, so that a crash in between leaves bytes without a row, never
a row without bytes; the last step finds such bytes. Every node may do this at any time.
"""

import structlog

from parley.blobs.interface import Blobs, BlobsUnavailable, id_of, key_of
from parley.clock import Clock
from parley.services.files.uploads import HOUR_MS, Uploads
from parley.store.interface import Database
from parley.store.sql import files as sql

PAGE = 200
ORPHAN_MS = 24 * HOUR_MS
"""Bytes without a row may be about to get one: a file is stored before it is registered."""

log = structlog.stdlib.get_logger("parley.files")


class Sweeper:
    def __init__(self, database: Database, clock: Clock, uploads: Uploads, blobs: Blobs, *, hours: int) -> None:
        self._database = database
        self._clock = clock
        self._uploads = uploads
        self._blobs = blobs
        self._hours = hours

    async def sweep(self, *, orphans: bool = True) -> int:
        """How many things went. Raises StoreUnavailable."""
        gone = await self._expired() + await self._unheld() + await self._left_parts()
        try:
            gone += await self._unreferred()
            if orphans:
                gone += await self._orphans()
        except BlobsUnavailable as error:
            log.warning("files_not_swept", error=str(error))
        if gone:
            log.info("files_swept", gone=gone)
        return gone

    async def _expired(self) -> int:
        now = self._clock.now_ms()
        ids = await self._database.read(lambda connection: sql.expired(connection, now, PAGE))
        ids = [upload_id for upload_id in ids if not self._uploads.is_busy(upload_id)]
        for upload_id in ids:
            if await self._database.write(lambda connection, it=upload_id: sql.drop_upload(connection, it)):  # type: ignore[misc]
                await self._remove_part(upload_id)
        return len(ids)

    async def _left_parts(self) -> int:
        """Files in staging of uploads that are not there any more."""
        staging = self._uploads.staging
        before = self._clock.now_ms() - HOUR_MS
        found = await self._uploads.threads.run(staging.ids)
        old = [upload_id for upload_id, written in found.items() if written < before]
        gone = 0
        for start in range(0, len(old), PAGE):
            page = old[start : start + PAGE]
            alive = await self._database.read(lambda connection, it=page: sql.uploads_among(connection, it))  # type: ignore[misc]
            for upload_id in set(page) - alive:
                if not self._uploads.is_busy(upload_id):
                    await self._remove_part(upload_id)
                    gone += 1
        return gone

    async def _remove_part(self, upload_id: int) -> None:
        self._uploads.finisher.forget(upload_id)
        await self._uploads.threads.run(lambda: self._uploads.staging.remove(upload_id))

    async def _unheld(self) -> int:
        before = self._clock.now_ms() - self._hours * HOUR_MS
        ids = await self._database.read(lambda connection: sql.unheld(connection, before, PAGE))
        for file_id in ids:
            await self._database.write(lambda connection, it=file_id: sql.drop_file(connection, it))  # type: ignore[misc]
        return len(ids)

    async def _unreferred(self) -> int:
        gone = 0
        for blob in await self._database.read(lambda connection: sql.unreferred(connection, PAGE)):
            if await self._database.write(lambda connection, it=blob.id: sql.drop_blob(connection, it)):  # type: ignore[misc]
                for thumbnail in (False, True):
                    await self._blobs.delete(key_of(blob.sha256, blob.id, thumbnail=thumbnail))
                gone += 1
        return gone

    async def _orphans(self) -> int:
        before = self._clock.now_ms() - ORPHAN_MS
        gone, page = 0, list[str]()
        async for key, written in self._blobs.listed():
            if written < before and id_of(key) is not None:
                page.append(key)
            if len(page) == PAGE:
                gone += await self._delete_orphans(page)
                page = []
        return gone + await self._delete_orphans(page)

    async def _delete_orphans(self, keys: list[str]) -> int:
        ids = {key: id_of(key) for key in keys}
        wanted = [number for number in ids.values() if number is not None]
        alive = await self._database.read(lambda connection: sql.blobs_among(connection, wanted))
        orphans = [key for key, number in ids.items() if number not in alive]
        for key in orphans:
            await self._blobs.delete(key)
        return len(orphans)
