"""What a node says of itself, and when it gives up."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from tests.conftest import service
from tests.end_to_end.cluster.stage import Stage, hears, say

from parley.testing.cluster import Engines, running_cluster
from parley.testing.engines import PostgresqlServer, RedisServer

pytestmark = pytest.mark.slow
PATIENCE = 20.0


async def readiness(url: str, *, until: int, status: str) -> dict[str, Any]:
    """What `/readyz` answers once it has this code and status."""
    async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(PATIENCE):
        while True:
            answer = await http.get(f"{url}/readyz", timeout=PATIENCE)
            body: dict[str, Any] = answer.json()
            if (answer.status_code, body["status"]) == (until, status):
                return body
            await asyncio.sleep(0.05)


async def figure(url: str, name: str) -> float:
    async with httpx.AsyncClient(trust_env=False) as http:
        page = (await http.get(f"{url}/metrics")).text
    return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{name} "))


async def test_what_is_lost_is_told(tmp_path: Path) -> None:
    """Without Redis a node is degraded and takes work; without its database it takes none; both come back by
    themselves."""
    with PostgresqlServer() as store, RedisServer() as redis:
        async with running_cluster(tmp_path, Engines(store.url, redis.url), nodes=1) as cluster:
            (url,) = cluster.urls
            await readiness(url, until=200, status="ready")
            assert await figure(url, "parley_fanout_reaches_others") == 1

            redis.kill()
            told = await readiness(url, until=200, status="degraded")
            assert "Redis does not answer" in told["reasons"][0]
            assert await figure(url, "parley_fanout_reaches_others") == 0
            await redis.started()
            await readiness(url, until=200, status="ready")

            store.kill()
            told = await readiness(url, until=503, status="not ready")
            assert told["reasons"] == ["the store does not answer"]
            await store.started()
            await readiness(url, until=200, status="ready")


async def test_a_node_starts_without_redis(tmp_path: Path) -> None:
    """Losing it costs time only, so it is no reason to stay away."""
    with RedisServer() as redis:
        async with running_cluster(tmp_path, Engines(service("PARLEY_TEST_POSTGRESQL"), redis.url), nodes=1) as cluster:
            redis.kill()
            await cluster.nodes[0].restarted(gracefully=True)
            await readiness(cluster.urls[0], until=200, status="degraded")
            await redis.started()
            await readiness(cluster.urls[0], until=200, status="ready")


async def test_a_node_that_lost_its_number_stops(tmp_path: Path) -> None:
    """It slept for longer than its claim lasts, and another process makes ids with that number."""
    async with running_cluster(tmp_path, Engines(service("PARLEY_TEST_POSTGRESQL")), nodes=1) as cluster:
        engine = create_engine(cluster.store_url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text("UPDATE nodes SET owner = 'another'"))

        (node,) = cluster.nodes
        async with asyncio.timeout(PATIENCE):
            while node.running:  # noqa: ASYNC110 - the end of a process is no event
                await asyncio.sleep(0.05)

        assert node.terminate() == 1
        assert "node_number_lost" in node.log_tail()


async def test_gateways_and_appenders_may_be_parted(tmp_path: Path) -> None:
    """The appender brings what the gateway was told into the store, and serves no clients itself."""
    engines = Engines(service("PARLEY_TEST_POSTGRESQL"), service("PARLEY_TEST_REDIS"), service("PARLEY_TEST_KAFKA"))
    roles = (("--roles", "gateway"), ("--roles", "appender"))
    async with running_cluster(tmp_path, engines, nodes=2, log="kafka", arguments=roles) as cluster:
        gateway, appender = cluster.urls
        async with AsyncExitStack() as stack, httpx.AsyncClient(trust_env=False) as http:
            stage = Stage(cluster, stack)
            ann, bob = await stage.person("ann", gateway), await stage.person("bob", gateway)
            room, _ = await stage.room(ann, bob)
            hers, his = await stage.native(gateway, ann), await stage.native(gateway, bob)
            said = await say(hers, room, "through the topic")
            assert (await hears(his, room, "through the topic"))["seq"] == said["seq"]
            statuses = {
                path: (await http.get(f"{appender}{path}")).status_code
                for path in ("/healthz", "/readyz", "/metrics", "/api/v1/auth/config", "/", "/api/v1/ws")
            }
        await cluster.terminated()
    assert statuses == {
        "/healthz": 200, "/readyz": 200, "/metrics": 200, "/api/v1/auth/config": 404, "/": 404, "/api/v1/ws": 404,
    }  # fmt: skip
