"""M10: what a second node adds to a delivery, as a multiple of a round trip to Redis, and what nodes tell each other.

Two real nodes over a real database and a real Redis. A message goes to a reader on the writer's own node and, in the
next turn, one goes to a reader on the other: what both cost the generator falls out of the difference.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from parley.bench.figures import mean, percentile
from parley.bench.process import on_core, pin
from parley.bench.run import TEXT, Row, Run, ratio
from parley.client_ids import new_client_id
from parley.testing.account import Account
from parley.testing.cluster import Cluster, Engines, running_cluster
from parley.testing.raw import RawSocket
from parley.testing.shared import address

TARGET = 3.0
MESSAGES_TARGET = 1.0
STORE, REDIS = "PARLEY_TEST_POSTGRESQL", "PARLEY_TEST_REDIS"


def measure(run: Run) -> list[Row]:
    """Nothing, with a note, where there is no PostgreSQL or no Redis."""
    store, redis = address(STORE), address(REDIS)
    if store is None or redis is None:
        run.notes.append(f"M10 needs {STORE} and {REDIS}: `make services` brings them.")
        return []
    count = run.size(2_000, 400, 20)
    run.say("M10 two nodes: starting")
    return asyncio.run(_measure(run, Engines(store, redis), redis, count))


async def _measure(run: Run, engines: Engines, redis: str, count: int) -> list[Row]:
    folder = Path(run.folder) / "nodes"
    async with AsyncExitStack() as stack:
        with on_core(run.cores.server):
            cluster = await stack.enter_async_context(running_cluster(folder, engines, nodes=2))
        # Two nodes are two machines: the second does not wait for the first's core. The generator waits meanwhile.
        pin(cluster.nodes[1].pid, run.cores.generator)
        lines = [await _Line.open(stack, cluster, reader) for reader in cluster.urls]
        run.say(f"M10 two nodes: {count:,} messages to each of two readers")
        await _turns(lines, count // 10)
        for line in lines:
            line.took_ms.clear()
        before = [await _figures(url) for url in cluster.urls]
        floors = [_round_trip_ms(redis, count)]
        await _turns(lines, count)
        floors.append(_round_trip_ms(redis, count))
        after = [await _figures(url) for url in cluster.urls]
    return _rows(lines, count, floors, [_grown(*pair) for pair in zip(before, after, strict=True)])


class _Line:
    """A writer on the first node, a reader somewhere, and a room of these two."""

    def __init__(self, room: str, writer: RawSocket, reader: RawSocket) -> None:
        self.took_ms: list[float] = []
        self._room, self._writer, self._reader = room, writer, reader

    @classmethod
    async def open(cls, stack: AsyncExitStack, cluster: Cluster, reader_at: str) -> _Line:
        name = new_client_id()[-12:]
        writer = await stack.enter_async_context(await Account.open(cluster.urls[0], f"w{name}"))
        reader = await stack.enter_async_context(await Account.open(reader_at, f"r{name}"))
        room = await writer.create_room(f"m10-{name}", [reader.user_id])
        sockets = []
        for account in (writer, reader):
            opened, welcome = await RawSocket.login(account)
            sockets.append(await stack.enter_async_context(opened))
            cursors = {row["id"]: row["head"] for row in welcome["conversations"]}
            await opened.acked("resume", {"epoch": welcome["epoch"], "cursors": cursors})
        return cls(room, *sockets)

    async def once(self) -> None:
        """Write one, and wait until it is read."""
        payload = {"conversation_id": self._room, "client_id": new_client_id(), "kind": "text", "text": TEXT}
        begun = time.perf_counter()
        await self._writer.send({"type": "message.send", "id": "m", "payload": payload})
        while (await self._reader.recv())["type"] != "log":
            pass
        self.took_ms.append((time.perf_counter() - begun) * 1e3)
        while (await self._writer.recv()).get("id") != "m":
            pass


async def _turns(lines: list[_Line], count: int) -> None:
    """A B B A, so that what drifts falls on both alike."""
    for number in range(count):
        for line in lines if number % 2 else reversed(lines):
            await line.once()


async def _figures(url: str) -> dict[str, float]:
    async with httpx.AsyncClient(trust_env=False) as http:
        page = (await http.get(f"{url}/metrics")).text
    names = "parley_redis_published_total|parley_redis_received_total"
    return {name: float(value) for name, value in re.findall(rf"^({names}) ([0-9.eE+-]+)$", page, re.MULTILINE)}


def _grown(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: after[name] - before.get(name, 0.0) for name in after}


def _round_trip_ms(url: str, count: int) -> float:
    """The median of `PING` on a bare socket."""
    at = urlsplit(url)
    took: list[float] = []
    with socket.create_connection((at.hostname or "127.0.0.1", at.port or 6379), timeout=5) as redis:
        redis.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if at.password:
            redis.sendall(f"AUTH {at.password}\r\n".encode())
            redis.recv(64)
        for _ in range(count):
            begun = time.perf_counter()
            redis.sendall(b"PING\r\n")
            redis.recv(64)
            took.append((time.perf_counter() - begun) * 1e3)
    return percentile(took, 0.5)


def _rows(lines: list[_Line], count: int, floors: list[float], grown: list[dict[str, float]]) -> list[Row]:
    here, there = (percentile(line.took_ms, 0.5) for line in lines)
    floor = mean(floors)
    added = there - here
    heard = grown[1].get("parley_redis_received_total", 0.0) / count
    return [
        Row(
            "M10", f"delivery to another node, {count:,} messages", added, "ms added p50", floor, ratio(added, floor),
            TARGET, note=f"same node p50 {here:.2f} ms, other node {there:.2f} ms; Redis PING {floor * 1e3:.0f} µs",
            detail={"same_node_p50_ms": here, "other_node_p50_ms": there, "redis_ping_ms": floors},
        ),
        Row(
            "M10", "messages between nodes an event, one member elsewhere", heard, "heard / event", None, heard,
            MESSAGES_TARGET + 0.1, note="keep-alives and presence among them; more than one would be waste",
        ),
    ]  # fmt: skip
