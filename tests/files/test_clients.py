"""Existing tus clients, unmodified, through cuts and kills: what they sent is what is there, to the last bit.

PARLEY_UPLOAD_MIB and PARLEY_UPLOAD_CUTS make it larger: `make test-uploads`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import time
from pathlib import Path
from random import Random

import httpx
import pytest

from parley.testing.account import Account
from parley.testing.chaos import ChaosProxy, Cut, Fate
from parley.testing.server import UNLIMITED, ServerProcess, running_server, steady_port

MIB = 1 << 20
SIZE = int(os.environ.get("PARLEY_UPLOAD_MIB", "24")) * MIB
CUTS = int(os.environ.get("PARLEY_UPLOAD_CUTS", "4"))
KILLS = 3
MOST_MEMORY = 100 * MIB
CLIENTS = Path(__file__).parent / "clients"
PATIENCE_S = 600.0


def command(client: str) -> list[str]:
    if client == "tuspy":
        return [sys.executable, str(Path(__file__).parent / "tus_client.py")]
    node = shutil.which("node")
    if node is None or not (CLIENTS / "node_modules").is_dir():
        pytest.skip("Node, or the packages of tests/files/clients, are not here")
    return [node, str(CLIENTS / "tus.mjs")]


def make_file(path: Path, random: Random) -> str:
    """Its SHA-256. No two pieces are alike, so that one at a wrong place shows."""
    sha256 = hashlib.sha256()
    noise = random.randbytes(MIB - 16)
    with path.open("wb") as file:
        for number in range(SIZE // MIB):
            piece = number.to_bytes(16, "big") + noise
            sha256.update(piece)
            file.write(piece)
    return sha256.hexdigest()


def memory(server: ServerProcess, row: str) -> int:
    """`VmRSS`, or `VmHWM`: its highest so far."""
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith(row):
            return int(line.split()[1]) * 1024
    raise AssertionError(row)


def forget_highest(server: ServerProcess) -> None:
    """Let `VmHWM` begin anew: a login's argon2 takes 64 MiB for a moment, which is not the uploads'."""
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")


def wait_until_there(staging: Path, size: int) -> None:
    """The file's growth is the only sign that bytes are on their way."""
    deadline = time.monotonic() + PATIENCE_S
    while sum(part.stat().st_size for part in staging.glob("*.part")) < size:
        assert time.monotonic() < deadline, "nothing more arrives"
        time.sleep(0.005)


async def killed_on_the_way(server: ServerProcess, staging: Path) -> int:
    """kill -9 in the middle of a body, three times; the most memory that a process took above what it began with."""
    most = 0
    for kill in range(1, KILLS + 1):
        idle = memory(server, "VmRSS")
        await asyncio.to_thread(wait_until_there, staging, SIZE * kill // (KILLS + 1))
        most = max(most, memory(server, "VmHWM") - idle)
        server.kill()
        await server.started()
    return most


async def sha256_of(server: ServerProcess, account: Account, file_id: str) -> str:
    sha256 = hashlib.sha256()
    headers = {"Authorization": f"Bearer {account.access_token}"}
    async with (
        httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as http,
        http.stream("GET", f"/api/v1/files/{file_id}") as answer,
    ):
        assert answer.status_code == 200
        async for piece in answer.aiter_bytes(MIB):
            sha256.update(piece)
    return sha256.hexdigest()


@pytest.mark.parametrize("client", ["tus-js-client", "tuspy"])
@pytest.mark.timeout(1800)
async def test_a_client_gets_its_file_through_cuts_and_kills(client: str, tmp_path: Path) -> None:
    random = Random(client)
    wanted = make_file(tmp_path / "file.bin", random)
    data = tmp_path / "data"
    settings = {**UNLIMITED, "limits.upload_bytes": "0", "auth.access_minutes": "1440"}
    server = running_server(data, settings=settings, port=steady_port())
    async with server, ChaosProxy("127.0.0.1", server.port) as proxy:

        def plan(_number: int) -> Fate:
            """Until there were enough cuts: after some of the file, cleanly and by reset in turn."""
            cut = (Cut.CLOSE, Cut.RESET)[proxy.counts["connections"] % 2]
            done = proxy.counts["close"] + proxy.counts["reset"]
            return Fate() if done >= CUTS else Fate(up_bytes=random.randint(SIZE // 40, SIZE // (CUTS + 6)), cut=cut)

        proxy.plan = plan
        async with await Account.open(server.url, "ann") as account:
            forget_highest(server)
            process = await asyncio.create_subprocess_exec(
                *command(client), f"{proxy.url}/api/v1/files/uploads", account.access_token, str(tmp_path / "file.bin"),
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            most = await asyncio.wait_for(killed_on_the_way(server, data / "uploads"), PATIENCE_S)
            idle = memory(server, "VmRSS")
            told, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
            assert process.returncode == 0
            most = max(most, memory(server, "VmHWM") - idle)

            file_id = told.decode().strip().rpartition("/")[2]
            assert await sha256_of(server, account, file_id) == wanted
        print(f"{client}: {SIZE // MIB} MiB, {dict(proxy.counts)}, {KILLS} kills, {most / MIB:.0f} MiB over idle")  # noqa: T201
        assert proxy.counts["close"] + proxy.counts["reset"] >= CUTS
        assert most < MOST_MEMORY
        assert list((data / "uploads").glob("*.part")) == []
    assert hashlib.sha256(next((data / "files").rglob(f"{wanted}-*")).read_bytes()).hexdigest() == wanted
