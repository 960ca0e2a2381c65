"""What every store of contents promises, over a folder and over an S3 (moto's, on loopback)."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # has no types
import pytest
from moto.server import ThreadedMotoServer

from parley.blobs.folder import FolderBlobs
from parley.blobs.interface import BlobMissing, Blobs, BlobsUnavailable, id_of, key_of
from parley.blobs.s3 import BadBlobsUrl, S3Blobs

KEY = key_of("ab" * 32, 7)
SECRETS = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
async def blobs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Blobs]:
    made: Blobs
    if request.param == "folder":
        made = FolderBlobs(tmp_path / "files")
    else:
        made = s3_blobs(request.getfixturevalue("s3"), monkeypatch, tmp_path.name.replace("_", "-").lower()[:60])
    yield made
    await made.close()


def s3_blobs(endpoint: str, monkeypatch: pytest.MonkeyPatch, bucket: str) -> S3Blobs:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    bucket = bucket.strip("-").ljust(3, "x")
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return S3Blobs(f"s3://{bucket}/some/prefix?endpoint={endpoint}&region=us-east-1", SECRETS)


def file_of(tmp_path: Path, content: bytes) -> Path:
    file = tmp_path / "given"
    file.write_bytes(content)
    return file


async def whole(blobs: Blobs, key: str, start: int, length: int) -> bytes:
    return b"".join([piece async for piece in await blobs.read(key, start, length)])


@pytest.mark.parametrize("size", [0, 1, 1000, 20 * 1024 * 1024 + 3])
async def test_what_was_put_is_read(blobs: Blobs, tmp_path: Path, size: int) -> None:
    """Also what is larger than one part of a multipart upload."""
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    file = file_of(tmp_path, content)
    await blobs.put(KEY, file)
    assert await whole(blobs, KEY, 0, size) == content
    assert file.read_bytes() == content


async def test_any_stretch_of_it_is_read(blobs: Blobs, tmp_path: Path) -> None:
    content = bytes(range(256)) * 2000
    await blobs.put(KEY, file_of(tmp_path, content))
    for start, length in ((0, 1), (1, 300_000), (511_999, 1), (100, 0)):
        assert await whole(blobs, KEY, start, length) == content[start : start + length]


async def test_putting_twice_is_putting_once(blobs: Blobs, tmp_path: Path) -> None:
    """After a crash it is done again."""
    for _ in range(2):
        await blobs.put(KEY, file_of(tmp_path, b"hello"))
    assert await whole(blobs, KEY, 0, 5) == b"hello"
    assert [key async for key, _ in blobs.listed()] == [KEY]


async def test_what_is_not_there_is_said_before_the_first_piece(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing):
        await blobs.read(KEY, 0, 5)


async def test_a_stretch_beyond_the_end_is_not_passed_off_as_whole(blobs: Blobs, tmp_path: Path) -> None:
    await blobs.put(KEY, file_of(tmp_path, b"hello"))
    with pytest.raises(BlobsUnavailable):
        await whole(blobs, KEY, 0, 50)


async def test_deleting_is_quiet_and_final(blobs: Blobs, tmp_path: Path) -> None:
    await blobs.put(KEY, file_of(tmp_path, b"hello"))
    await blobs.delete(KEY)
    await blobs.delete(KEY)
    with pytest.raises(BlobMissing):
        await blobs.read(KEY, 0, 5)


async def test_every_key_is_listed_with_its_time(blobs: Blobs, tmp_path: Path) -> None:
    keys = {key_of(f"{number:064x}", number, thumbnail=number % 2 == 0) for number in range(12)}
    for key in keys:
        await blobs.put(key, file_of(tmp_path, key.encode()))
    found = {key: written async for key, written in blobs.listed()}
    assert set(found) == keys
    assert all(written > 1_700_000_000_000 for written in found.values())
    assert {id_of(key) for key in found} == set(range(12))


async def test_many_at_once(blobs: Blobs, tmp_path: Path) -> None:
    files = {}
    for number in range(20):
        files[key_of(f"{number:064x}", number)] = file = tmp_path / f"given{number}"
        file.write_bytes(bytes([number]) * 1000)
    await asyncio.gather(*(blobs.put(key, file) for key, file in files.items()))
    for key, file in files.items():
        assert await whole(blobs, key, 0, 1000) == file.read_bytes()


async def test_a_store_that_is_away_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens there: said, and said again once it is back to work."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    blobs = s3_blobs(f"http://{host}:{port}", monkeypatch, "away")
    server.stop()
    with pytest.raises(BlobsUnavailable):
        await blobs.put(KEY, file_of(tmp_path, b"hello"))
    with pytest.raises(BlobsUnavailable):
        await blobs.read(KEY, 0, 5)


@pytest.mark.parametrize(
    "url", ["s3:///prefix", "s3://bucket?key=x", "s3://user:secret@bucket/", "https://bucket", "s3://bucket:80/x"]
)
def test_a_url_that_cannot_be_meant_is_refused(url: str) -> None:
    with pytest.raises(BadBlobsUrl):
        S3Blobs(url, {})


def test_a_key_names_its_row() -> None:
    assert key_of("ab" * 32, 7) == f"ab/ab/{'ab' * 32}-7"
    assert id_of(key_of("ab" * 32, 7, thumbnail=True)) == 7
    assert id_of("lost+found") is None


@pytest.mark.parametrize("links", [True, False])
def test_nothing_half_is_there_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """A reader that looks all the time sees the whole, or nothing: also where the file has to be copied."""
    if not links:
        monkeypatch.setattr("os.link", _no_links)
    blobs = FolderBlobs(tmp_path / "files")
    content = b"x" * 30_000_000
    seen: set[int] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            target = tmp_path / "files" / KEY
            if target.exists():
                seen.add(target.stat().st_size)

    watcher = threading.Thread(target=look)
    watcher.start()

    async def put() -> None:
        await blobs.put(KEY, file_of(tmp_path, content))
        await blobs.close()

    asyncio.run(put())
    done.set()
    watcher.join()
    assert seen <= {len(content)}
    assert [file.name for file in (tmp_path / "files").rglob("*") if file.is_file()] == [Path(KEY).name]


def _no_links(*_: object) -> None:
    raise OSError(errno.EXDEV, "another file system")
