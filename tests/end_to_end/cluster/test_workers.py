"""`--workers 2`: two processes on one address and one database."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from tests.conftest import service
from tests.end_to_end.cluster.stage import Stage, hears, say
from websockets.exceptions import ConnectionClosed

from parley.testing import RawSocket
from parley.testing.cluster import Cluster, Engines, running_cluster
from parley.testing.server import steady_port


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Cluster]:
    engines = Engines(store=service("PARLEY_TEST_POSTGRESQL"), redis=service("PARLEY_TEST_REDIS"))
    settings = {"server.workers": "2", "server.worker_port": str(steady_port())}
    async with running_cluster(tmp_path / "crew", engines, nodes=1, settings=settings) as cluster:
        yield cluster


def workers(cluster: Cluster) -> list[psutil.Process]:
    return psutil.Process(cluster.nodes[0].pid).children()


async def test_two_workers_are_one_server(crew: Cluster) -> None:
    """Whoever is served by one hears who is served by the other; a killed one is replaced; SIGTERM ends both."""
    port = int(crew.settings["server.worker_port"])
    first, second = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"
    assert len(workers(crew)) == 2
    async with AsyncExitStack() as stack:
        stage = Stage(crew, stack)
        ann, bob = await stage.person("ann"), await stage.person("bob")
        room, _ = await stage.room(ann, bob)
        hers, his = await stage.native(first, ann), await stage.native(second, bob)
        said = await say(hers, room, "across")
        assert (await hears(his, room, "across"))["seq"] == said["seq"]
        async with httpx.AsyncClient(trust_env=False) as http:
            for url in (first, second):
                # Each worker counts for itself, on its own port.
                assert "parley_connections 1.0" in (await http.get(f"{url}/metrics")).text

        doomed = min(workers(crew), key=lambda process: process.pid)
        os.kill(doomed.pid, signal.SIGKILL)
        lives = his if await is_cut(hers) else hers
        await say(lives, room, "goes on")
        await stage.native(stage.a, ann)

    assert await crew.nodes[0].terminated() == 0
    assert not [line for line in crew.complaints() if "worker_died" not in line]


async def is_cut(socket: RawSocket) -> bool:
    """Whether its worker was the killed one."""
    try:
        await socket.heard()
    except ConnectionClosed:
        return True
    return False
