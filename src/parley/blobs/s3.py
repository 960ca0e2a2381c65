"""Content in an object store of the S3 kind."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from parley.blobs.interface import PIECE, BlobMissing, BlobsUnavailable

PART = 8 * 1024 * 1024
PARTS_AT_ONCE = 2
"""With `PART` the bound of memory that a put takes."""
KNOWN = frozenset({"endpoint", "region"})


class BadBlobsUrl(Exception):
    """`[blobs] url` cannot be used; the text says why."""


class S3Blobs:
    """`Blobs` over a bucket: `s3://BUCKET/PREFIX?endpoint=…&region=…`. Credentials come from the environment."""

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        """Raises BadBlobsUrl."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.scheme != "s3" or not parts.hostname or parts.username or parts.port or set(options) - KNOWN:
            raise BadBlobsUrl("s3://BUCKET/PREFIX with endpoint and region in the query, if need be, is wanted")
        endpoint = options.get("endpoint", "")
        config: dict[str, Any] = {"region": options.get("region", environment.get("AWS_REGION", "us-east-1"))}
        if endpoint:
            config["endpoint"] = endpoint
        # A store that is away is said to be within half a minute, so that a request can tell.
        self._store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={"allow_http": endpoint.startswith("http://"), "connect_timeout": "5s", "timeout": "60s"},
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=20)},
            **config,
        )

    async def put(self, key: str, file: Path) -> None:
        with _told():
            await obstore.put_async(self._store, key, file, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)

    async def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        if not length:
            return _nothing()
        with _told():
            found = await obstore.get_async(self._store, key, options={"range": (start, start + length)})
        return _pieces(found, length)

    async def delete(self, key: str) -> None:
        try:
            with _told():
                await obstore.delete_async(self._store, key)
        except BlobMissing:
            pass

    async def listed(self) -> AsyncIterator[tuple[str, int]]:
        with _told():
            async for page in obstore.list(self._store, chunk_size=500):
                for row in page:
                    yield row["path"], int(row["last_modified"].timestamp() * 1000)

    async def close(self) -> None:
        pass


@contextmanager
def _told() -> Iterator[None]:
    """The store's failures in the words of the seam. What it says of itself may hold addresses, so it is cut short."""
    try:
        yield
    except FileNotFoundError as error:
        raise BlobMissing(str(error)[:200]) from error
    except (BaseError, OSError) as error:
        raise BlobsUnavailable(f"{type(error).__name__}: {str(error)[:200]}") from error


async def _pieces(found: Any, length: int) -> AsyncIterator[bytes]:
    with _told():
        async for piece in found.stream(min_chunk_size=PIECE):
            length -= len(piece)
            yield bytes(piece)
    if length:
        raise BlobsUnavailable("a stored object is shorter than it was")


async def _nothing() -> AsyncIterator[bytes]:
    none: tuple[bytes, ...] = ()
    for piece in none:
        yield piece
