"""Bytes of uploads that are not complete, in a folder. Everything in here blocks and runs on threads.

An upload is two files: `<id>.part`, its bytes, and `<id>.sure`, lines that each say up to where the bytes surely are on
the disk. The bytes are synced before the line is written, and the line before anybody is told: what was advertised
survives a power cut. A folder that several nodes share is safe as far as its `flock` is.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from parley.blobs.folder import sync_folder

SYNC_BYTES = 16 * 1024 * 1024
"""A crash in the middle of a request costs the sender this much, at most, to send again."""
READ_BYTES = 1 << 20
LINES_BYTES = 64 * 1024


class PartLocked(Exception):
    """Somebody else is writing to it, perhaps another process."""


class PartLost(Exception):
    """The bytes are not in this folder any more."""


class Taker(Protocol):
    """Notes what is written."""

    def take(self, piece: bytes, at: int) -> None: ...


class Hashed:
    """A SHA-256 of the first bytes of an upload, kept between requests so that most files are read only once."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.upto = 0

    def take(self, piece: bytes, at: int) -> None:
        if at == self.upto:
            self.sha256.update(piece)
            self.upto += len(piece)


class Staging:
    """The folder. `id` tells nodes whether they look at the same one."""

    def __init__(self, folder: Path) -> None:
        """Makes it if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.id = _folder_id(folder)

    def path(self, upload_id: int) -> Path:
        return self._folder / f"{upload_id}.part"

    def beside(self, upload_id: int, suffix: str) -> Path:
        return self._folder / f"{upload_id}.{suffix}"

    def make(self, upload_id: int) -> None:
        self.path(upload_id).open("xb").close()
        self.beside(upload_id, "sure").open("xb").close()
        sync_folder(self._folder)

    def remove(self, upload_id: int) -> None:
        for suffix in ("part", "sure", "clean", "small"):
            self.beside(upload_id, suffix).unlink(missing_ok=True)

    def ids(self) -> dict[int, int]:
        """Uploads that have files here, and when the newest was written, in milliseconds since 1970."""
        found: dict[int, int] = {}
        for entry in os.scandir(self._folder):
            digits = entry.name.partition(".")[0]
            if digits.isdecimal() and entry.is_file(follow_symlinks=False):
                found[int(digits)] = max(found.get(int(digits), 0), int(entry.stat().st_mtime * 1000))
        return found

    def sure(self, upload_id: int) -> int:
        """Up to where it is surely here. Raises PartLost."""
        try:
            handle = os.open(self.beside(upload_id, "sure"), os.O_RDWR)
        except FileNotFoundError:
            raise PartLost(str(upload_id)) from None
        try:
            os.fdatasync(handle)  # a writer that was killed may have got no further than to write the line
            return _last_line(handle)
        finally:
            os.close(handle)

    def chunks(self, upload_id: int) -> set[int]:
        """Of an upload in chunks: those that are surely here. Raises PartLost."""
        try:
            lines = self.beside(upload_id, "sure").read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            raise PartLost(str(upload_id)) from None
        return {int(line[1:]) for line in lines if re.fullmatch(rb"c[0-9]{1,9}", line)}

    def open(self, upload_id: int, *, chunked: bool = False) -> "Part":
        """To write to it. Raises PartLocked, PartLost."""
        return Part(self.path(upload_id), self.beside(upload_id, "sure"), chunked=chunked)

    def pieces(self, upload_id: int) -> Iterator[bytes]:
        with self.path(upload_id).open("rb", buffering=0) as file:
            while piece := file.read(READ_BYTES):
                yield piece


class Part:
    """An upload that is being written to, by one writer at a time. `close` it."""

    def __init__(self, bytes_file: Path, sure_file: Path, *, chunked: bool) -> None:
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            self._bytes = os.open(bytes_file, flags)
        except FileNotFoundError:
            raise PartLost(str(bytes_file.name)) from None
        self._sure = -1
        try:
            if not chunked:
                _lock(self._bytes)
            self._sure = os.open(sure_file, flags | os.O_APPEND)
            self.offset = self.confirmed = _last_line(self._sure)
            if not chunked:
                os.ftruncate(self._bytes, self.confirmed)
        except FileNotFoundError:
            self.close()
            raise PartLost(str(sure_file.name)) from None
        except BaseException:
            self.close()
            raise

    def write(self, pieces: Sequence[bytes], takers: Iterable[Taker]) -> None:
        """At the end. Raises OSError; then `rewind` is due."""
        for piece in pieces:
            _write_all(self._bytes, piece, self.offset)
            for taker in takers:
                taker.take(piece, self.offset)
            self.offset += len(piece)

    def confirm(self) -> None:
        """What was written is surely on the disk when this returns. Raises OSError; then `rewind` is due."""
        offset = self.offset  # more may be written meanwhile, which this does not speak for
        if offset == self.confirmed:
            return
        os.fdatasync(self._bytes)
        _write_line(self._sure, b"%d\n" % offset)
        self.confirmed = offset

    def rewind(self) -> None:
        """Back to what is sure."""
        self.offset = self.confirmed
        os.ftruncate(self._bytes, self.confirmed)

    def write_chunk(self, at: int, pieces: Iterable[bytes]) -> None:
        """A stretch in the middle; it counts from `confirm_chunk` on. Raises OSError."""
        for piece in pieces:
            _write_all(self._bytes, piece, at)
            at += len(piece)

    def confirm_chunk(self, index: int) -> None:
        os.fdatasync(self._bytes)
        _write_line(self._sure, b"c%d\n" % index)

    def close(self) -> None:
        for handle in (self._bytes, self._sure):
            if handle >= 0:
                os.close(handle)
        self._bytes = self._sure = -1


def _lock(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise PartLocked from None
        raise


def _write_all(handle: int, piece: bytes, at: int) -> None:
    view = memoryview(piece)
    while view:
        done = os.pwrite(handle, view, at)
        at += done
        view = view[done:]


def _write_line(handle: int, line: bytes) -> None:
    """Whole, or as if nothing had been written."""
    before = os.fstat(handle).st_size
    try:
        if os.write(handle, line) != len(line):
            raise OSError(errno.ENOSPC, "no room for a line")
        os.fdatasync(handle)
    except OSError:
        os.ftruncate(handle, before)
        raise


def _last_line(handle: int) -> int:
    """The last whole line that is a number: after a power cut the end may be anything."""
    text = os.pread(handle, LINES_BYTES, max(0, os.fstat(handle).st_size - LINES_BYTES))
    numbers = re.findall(rb"(?:^|\n)([0-9]{1,18})(?=\n)", text)
    return int(numbers[-1]) if numbers else 0


def _folder_id(folder: Path) -> str:
    file = folder / "folder.id"
    try:
        with file.open("x") as new:
            new.write(secrets.token_hex(16))
            new.flush()
            os.fsync(new.fileno())
        sync_folder(folder)
    except FileExistsError:
        pass
    return file.read_text()[:64]
