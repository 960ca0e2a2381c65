"""The parts that make files, put together."""

import asyncio
import contextlib
import os
from pathlib import Path

import structlog

from parley.blobs.folder import FolderBlobs
from parley.blobs.interface import Blobs
from parley.blobs.s3 import S3Blobs
from parley.clock import Clock
from parley.fanout.interface import FanOut
from parley.ids import Snowflakes
from parley.media.inspector import Inspector
from parley.services.files.chunked import Chunked
from parley.services.files.finish import Finisher
from parley.services.files.links import Links
from parley.services.files.progress import Progress
from parley.services.files.reading import Files
from parley.services.files.staging import Staging
from parley.services.files.sweep import Sweeper
from parley.services.files.threads import FileThreads
from parley.services.files.uploads import Uploads
from parley.settings import Settings
from parley.store.interface import Database, StoreUnavailable

SWEEP_SECONDS = 3600.0

log = structlog.get_logger()


def open_blobs(settings: Settings) -> Blobs:
    """Raises BadBlobsUrl."""
    url = settings.blobs.url
    if url.startswith("s3://"):
        return S3Blobs(url, os.environ)
    return FolderBlobs(Path(url) if url else settings.server.data / "files")


class FileParts:
    """What `Parley` holds of files. `start` before use, `close` at the end, before the store's."""

    def __init__(
        self, settings: Settings, database: Database, clock: Clock, ids: Snowflakes, fanout: FanOut, key: bytes
    ) -> None:
        """`ids` are asked in write transactions only. `key`: the signing key. Raises BadBlobsUrl, OSError."""
        limits = settings.limits
        self._blobs = open_blobs(settings)
        self._threads = FileThreads()
        self._inspector = Inspector()
        staging = Staging(settings.staging_path)
        self._finisher = Finisher(
            database, clock, staging, self._blobs, self._inspector, self._threads, strip=settings.blobs.strip_location
        )
        self.links = Links(key, clock, settings.server.public_url, settings.compat.link_hours)
        self.files = Files(database, self._blobs, self.links)
        self.uploads = Uploads(
            database, clock, ids, limits, staging, self._finisher, Progress(fanout, clock), self._threads
        )
        self.chunked = Chunked(self.uploads)
        self.sweeper = Sweeper(database, clock, self.uploads, self._blobs, hours=limits.upload_hours)

    def start(self) -> None:
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def _sweep(self) -> None:
        while True:
            try:
                await self.sweeper.sweep()
            except (StoreUnavailable, OSError) as error:
                log.warning("files_not_swept", error=str(error))
            await asyncio.sleep(SWEEP_SECONDS)

    async def close(self) -> None:
        self._sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweeping
        await self.uploads.stop()
        await self._finisher.close()
        await self._inspector.close()
        self._threads.close()
        await self._blobs.close()
