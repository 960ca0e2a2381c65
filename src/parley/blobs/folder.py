"""Content in a folder of this machine, or of one that several machines share."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from parley.blobs.interface import PIECE, BlobMissing, BlobsUnavailable

T = TypeVar("T")
THREADS = 4
LISTED = 500


class FolderBlobs:
    """`Blobs` over a folder, which is made if it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="parley-blobs")

    async def put(self, key: str, file: Path) -> None:
        await self._run(lambda: self._put(self._folder / key, file))

    def _put(self, target: Path, file: Path) -> None:
        made = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as source:
            os.fsync(source.fileno())
        try:
            os.link(file, target)
        except FileExistsError:
            pass  # a put of before a crash: keys are never used for something else
        except OSError:
            _copy(file, target)  # another file system, or one without links
        for folder in {target.parent, *(folder.parent for folder in made)}:
            sync_folder(folder)

    async def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        handle = await self._run(lambda: os.open(self._folder / key, os.O_RDONLY))
        return self._pieces(handle, start, length)

    async def _pieces(self, handle: int, start: int, length: int) -> AsyncIterator[bytes]:
        try:
            at, end = start, start + length
            while at < end:
                piece = await self._run(lambda at=at: os.pread(handle, min(PIECE, end - at), at))  # type: ignore[misc]
                if not piece:
                    raise BlobsUnavailable("a stored file is shorter than it was")
                at += len(piece)
                yield piece
        finally:
            os.close(handle)

    async def delete(self, key: str) -> None:
        await self._run(lambda: (self._folder / key).unlink(missing_ok=True))

    async def listed(self) -> AsyncIterator[tuple[str, int]]:
        walk = self._walk()
        while page := await self._run(lambda: _take(walk, LISTED)):
            for row in page:
                yield row

    def _walk(self) -> Iterator[tuple[str, int]]:
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    yield path.relative_to(self._folder).as_posix(), int(path.stat().st_mtime * 1000)

    async def close(self) -> None:
        self._pool.shutdown(wait=True)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except FileNotFoundError as error:
            raise BlobMissing(str(error)) from error
        except OSError as error:
            raise BlobsUnavailable(str(error)) from error


def _take(rows: Iterator[tuple[str, int]], limit: int) -> list[tuple[str, int]]:
    return [row for _, row in zip(range(limit), rows, strict=False)]


def _copy(file: Path, target: Path) -> None:
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with file.open("rb") as source, part.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make names in it last, as fsync does for bytes."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
