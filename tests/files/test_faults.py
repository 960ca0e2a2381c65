"""Over real sockets: cuts, silence, two at once, a full disk, a store that is away. What was confirmed stays."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # has no types
import httpx
import pytest
from moto.server import ThreadedMotoServer
from tests.crash.conftest import disks
from tests.files.here import BYTES, TUS, UPLOADS, Person, refusal

from parley.testing.account import Account
from parley.testing.disks import MemoryDisk
from parley.testing.server import UNLIMITED, ServerProcess, running_server, steady_port

__all__ = ["disks"]
MIB = 1 << 20


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    async with running_server(tmp_path / "data", settings=UNLIMITED, port=steady_port()) as started:
        yield started


async def person(server: ServerProcess, name: str = "ann") -> Person:
    async with await Account.open(server.url, name) as account:
        http = httpx.AsyncClient(
            base_url=server.url,
            headers={"Authorization": f"Bearer {account.access_token}"},
            trust_env=False,
            timeout=60,
        )
        return Person(http, {"user": {"id": account.user_id}, "access_token": account.access_token})


def half_a_patch(server: ServerProcess, ann: Person, where: str, size: int, content: bytes) -> socket.socket:
    """A connection that has said `size` bytes and sent fewer."""
    raw = socket.create_connection(("127.0.0.1", server.port))
    head = {
        **BYTES, "Host": f"127.0.0.1:{server.port}", "Authorization": f"Bearer {ann.token}", "Upload-Offset": "0",
        "Content-Length": str(size),
    }  # fmt: skip
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    raw.sendall(f"PATCH {where} HTTP/1.1\r\n{lines}\r\n".encode() + content)
    return raw


async def offset_of(ann: Person, where: str, wanted: int) -> int:
    """Once the server has noticed the end of the connection, which nothing tells."""
    async with asyncio.timeout(20):
        while int((await ann.head(where)).headers["upload-offset"]) != wanted:
            pass
    return wanted


async def test_a_cut_keeps_what_came_and_survives_a_kill(server: ServerProcess) -> None:
    """To the byte, and nothing of it is a file yet."""
    ann = await person(server)
    where = (await ann.create(3 * MIB)).headers["location"]
    content = bytes(range(256)) * (12 * 1024)
    half_a_patch(server, ann, where, 3 * MIB, content[: MIB + 7]).close()
    assert await offset_of(ann, where, MIB + 7)
    assert (await ann.http.get(f"/api/v1/files/{where.rpartition('/')[2]}")).status_code == 404

    await server.restarted()
    assert (await ann.head(where)).headers["upload-offset"] == str(MIB + 7)
    assert (await ann.patch(where, MIB + 7, content[MIB + 7 :])).status_code == 204
    got = await ann.http.get(f"/api/v1/files/{where.rpartition('/')[2]}")
    assert got.content == content
    await ann.http.aclose()


async def test_a_kill_between_the_last_byte_and_the_file_is_made_good(server: ServerProcess) -> None:
    """The next look at the upload stores it."""
    ann = await person(server)
    where = (await ann.create(5)).headers["location"]
    staging = server.data / "uploads"
    upload_id = where.rpartition("/")[2]
    server.kill()
    (staging / f"{upload_id}.part").write_bytes(b"hello, and what came after was never confirmed")
    (staging / f"{upload_id}.sure").write_bytes(b"3\n5\n99")
    await server.started()
    assert (await ann.head(where)).headers["upload-offset"] == "5"
    got = await ann.http.get(f"/api/v1/files/{upload_id}")
    assert got.headers["content-length"] == "5"
    await ann.http.aclose()


async def test_one_writer_at_a_time_and_a_silent_one_gives_way(server: ServerProcess) -> None:
    ann = await person(server)
    where = (await ann.create(MIB)).headers["location"]
    raw = half_a_patch(server, ann, where, MIB, b"x" * 1000)
    # Only when the first one writes there is something to be locked out of.
    async with asyncio.timeout(20):
        while (second := await ann.patch(where, 0, b"y")).status_code == 204:
            where = (await ann.create(MIB)).headers["location"]
            raw.close()
            raw = half_a_patch(server, ann, where, MIB, b"x" * 1000)
    assert refusal(second) == (423, "upload_locked")
    async with asyncio.timeout(20):
        while (third := await ann.patch(where, 1000, b"z" * 10)).status_code == 423:
            pass
    assert (third.status_code, third.headers["upload-offset"]) == (204, "1010")
    raw.close()
    await ann.http.aclose()


async def test_a_full_disk_loses_nothing_that_was_confirmed(tmp_path: Path, disks: None) -> None:
    """Refused as retryable; with room again it goes on where it was."""
    with MemoryDisk(tmp_path / "disk", 8) as disk:
        settings = {**UNLIMITED, "blobs.staging": str(disk.path / "uploads")}
        server = running_server(tmp_path / "data", settings=settings, port=steady_port())
        async with server:
            ann = await person(server)
            content = bytes(range(256)) * (16 * 1024)
            where = (await ann.create(len(content), content=content[:MIB])).headers["location"]
            disk.fill()
            refused = await ann.patch(where, MIB, content[MIB:])
            assert refusal(refused) == (503, "storage_unavailable")
            assert refused.json()["retryable"]
            looked = await ann.head(where)
            assert (looked.status_code, looked.headers.get("upload-offset")) == (200, str(MIB)), server.log_tail()
            disk.free()
            assert (await ann.patch(where, MIB, content[MIB:])).status_code == 204
            got = await ann.http.get(f"/api/v1/files/{where.rpartition('/')[2]}")
            assert got.content == content
            await ann.http.aclose()


async def test_a_store_that_is_away_costs_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All bytes stay staged and confirmed; once the store is back the next look finishes it. Reading says 503."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    port = steady_port()
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=port)
    moto.start()
    endpoint = f"http://127.0.0.1:{port}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="parley")
    settings = {**UNLIMITED, "blobs.url": f"s3://parley/files?endpoint={endpoint}"}
    async with running_server(tmp_path / "data", settings=settings, port=steady_port()) as server:
        ann = await person(server)
        stored = await ann.upload(b"stored before")
        await asyncio.to_thread(moto.stop)
        where = (await ann.create(5)).headers["location"]
        assert refusal(await ann.patch(where, 0, b"hello")) == (503, "storage_unavailable")
        assert refusal(await ann.http.get(f"/api/v1/files/{stored}")) == (503, "storage_unavailable")
        assert (await ann.head(where)).status_code == 503
        moto = ThreadedMotoServer(ip_address="127.0.0.1", port=port)
        moto.start()
        assert (await ann.head(where)).headers["upload-offset"] == "5"
        assert (await ann.http.get(f"/api/v1/files/{where.rpartition('/')[2]}")).content == b"hello"
        assert (await ann.http.get(f"/api/v1/files/{stored}")).content == b"stored before"
        await ann.http.aclose()
        await asyncio.to_thread(moto.stop)


async def test_a_stopping_server_keeps_what_is_on_its_way(server: ServerProcess) -> None:
    """The client may go on where it was; nobody waits for the rest of its body."""
    ann = await person(server)
    where = (await ann.create(4 * MIB)).headers["location"]
    raw = half_a_patch(server, ann, where, 4 * MIB, b"x" * (2 * MIB))
    part = server.data / "uploads" / f"{where.rpartition('/')[2]}.part"
    async with asyncio.timeout(20):
        while part.stat().st_size < MIB:
            await ann.head(where)
    await ann.http.aclose()
    await server.terminated()
    raw.close()
    await server.started()
    ann = await person(server)
    assert MIB <= int((await ann.head(where)).headers["upload-offset"]) <= 2 * MIB
    assert list(server.complaints()) == []
    await ann.http.aclose()


async def test_nobody_uploads_without_a_login_and_no_byte_of_theirs_is_read(server: ServerProcess) -> None:
    """The refusal comes while the body has not even begun."""
    raw = socket.create_connection(("127.0.0.1", server.port))
    lines = "".join(
        f"{name}: {value}\r\n" for name, value in {**TUS, "Host": "127.0.0.1", "Upload-Length": "9"}.items()
    )
    raw.sendall(
        f"POST {UPLOADS} HTTP/1.1\r\n{lines}Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    raw.settimeout(10)
    answer = await asyncio.to_thread(raw.recv, 4096)
    assert answer.startswith(b"HTTP/1.1 401"), answer
    raw.close()


async def test_a_body_that_is_refused_early_is_dropped_and_the_connection_lives(server: ServerProcess) -> None:
    """Its rest is no request: what comes after it on the same connection is answered."""
    ann = await person(server)
    where = (await ann.create(4 * MIB)).headers["location"]
    for _ in range(3):
        assert refusal(await ann.patch(where, 1, b"x" * (4 * MIB - 1))) == (409, "offset_mismatch")
        assert (await ann.head(where)).headers["upload-offset"] == "0"
    await ann.http.aclose()
