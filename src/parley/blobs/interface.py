"""The seam of stored content: bytes under a key, written once, never changed.

Atomic: a key is there whole or not at all, also after a crash or a power cut. Durable when `put` returns. Keys are
made by `key_of` and never used twice, so nothing here has to be compared or locked. Every method may be cancelled;
a cancelled `put` may leave nothing or the whole. Who closes: the composition root.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

PIECE = 256 * 1024
"""Bytes in a piece of what is read, at most."""


class BlobMissing(Exception):
    """Nothing is stored under this key."""


class BlobsUnavailable(Exception):
    """The store cannot be reached or takes no more just now. The same may succeed later."""


class Blobs(Protocol):
    async def put(self, key: str, file: Path) -> None:
        """Store the file's bytes. The file itself stays, unchanged from then on. Raises BlobsUnavailable."""

    async def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """Pieces of the stretch. Raises BlobMissing and BlobsUnavailable before the first piece; a stretch that cannot
        be read to its end raises BlobsUnavailable. Exhaust or `aclose` it."""

    async def delete(self, key: str) -> None:
        """Nothing is there afterwards, whether or not something was. Raises BlobsUnavailable."""

    def listed(self) -> AsyncIterator[tuple[str, int]]:
        """Every key, and when it was written in milliseconds since 1970, in no order. Raises BlobsUnavailable."""

    async def close(self) -> None: ...


def key_of(sha256: str, blob_id: int, *, thumbnail: bool = False) -> str:
    """Two folders deep, so that none holds too many. The id makes it one of its own: content that is swept and comes
    again is another key, so that a sweep can never delete what somebody has just stored."""
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}-{blob_id}{'.webp' if thumbnail else ''}"


def id_of(key: str) -> int | None:
    """The blob id in a key of `key_of`; None for anything else that lies there."""
    digits = key.rpartition("/")[2].removesuffix(".webp").partition("-")[2]
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 19 else None
