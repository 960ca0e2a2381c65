"""R3, R12, R13 and R14: nodes that are killed, rolled, asked the same again, and written to by many at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

from parley.testing.account import Account
from parley.testing.checker import Demands, Figures
from parley.testing.cluster import Engines, LogKind, running_cluster
from parley.testing.load import Load, Size
from parley.testing.outbox import uuid7
from parley.testing.raw import RawSocket
from parley.testing.scenarios.result import Result
from parley.testing.server import PARLEY
from parley.testing.truth import breach

Program = tuple[str, ...]
RECOVER_S = 15.0
"""I8 of a cluster."""
REVOKED_S = 5.0
"""S2: how long another node may take."""
SESSION_ENDED = 4500
"""The close code that tells it."""
NODES = 3
PAUSE_S = 0.03
"""Nodes, engines and clients share this machine: what is tried is the fault, not the rate."""
SIZE = Size(rooms=3, senders=6, listeners=3)


async def node_kills(
    folder: Path,
    rounds: int,
    seed: int,
    *,
    engines: Engines,
    log: LogKind = "direct",
    program: tuple[str, ...] = PARLEY,
) -> Result:
    """kill -9 one node after another under load; its clients go on with the next one, and resume there."""
    random = Random(seed)
    async with running_cluster(folder / "nodes", engines, nodes=NODES, log=log, program=program) as cluster:
        async with Load(cluster, folder / "clients", random, size=SIZE, pause_s=PAUSE_S) as load:
            async with load.flowing():
                for _ in range(rounds):
                    await asyncio.sleep(random.uniform(0.1, 0.6))
                    doomed = random.choice(cluster.nodes)
                    # The others work on, so the fault is over at once.
                    with load.fault("kill -9 of a node"):
                        doomed.kill()
                    await load.until_acked(len(load.clients))
                    await doomed.started()
            await load.settle()
            await cluster.terminated()
            demands = Demands(min_acks=10 * rounds, min_in_flight=rounds, min_faults_hit=0.5, recover_s=RECOVER_S)
            figures = load.check(demands)
    slowest = max(node.slowest_start_s for node in cluster.nodes)
    return Result(figures, {"rounds": rounds, "slowest_start_s": slowest, "p99_s": load.p99()})


async def rolling_restarts(
    folder: Path,
    rounds: int,
    seed: int,
    *,
    engines: Engines,
    log: LogKind = "direct",
    program: tuple[str, ...] = PARLEY,
) -> Result:
    """SIGTERM to each node in turn, `rounds` restarts in all: no send fails, nobody waits long."""
    random = Random(seed)
    async with running_cluster(folder / "nodes", engines, nodes=NODES, log=log, program=program) as cluster:
        async with Load(cluster, folder / "clients", random, size=SIZE, pause_s=PAUSE_S) as load:
            # A send that is refused for good would be raised on leaving `flowing`.
            async with load.flowing():
                for number in range(rounds):
                    await asyncio.sleep(random.uniform(0.1, 0.4))
                    with load.fault("SIGTERM"):
                        await cluster.nodes[number % NODES].restarted(gracefully=True)
                    await load.until_acked(len(load.clients))
            await load.settle()
            await cluster.terminated()
            figures = load.check(Demands(min_acks=10 * rounds, recover_s=RECOVER_S))
    return Result(figures, {"rounds": rounds, "p99_s": load.p99()})


async def crowded(
    folder: Path,
    each: int,
    seed: int,
    *,
    engines: Engines,
    writers: int = 64,
    log: LogKind = "direct",
    settle_s: float = 60.0,
    program: Program = PARLEY,
) -> Result:
    """Many write to one conversation over all nodes: one dense order, and no reader skips any of it."""
    random = Random(seed)
    size = Size(rooms=1, senders=writers, listeners=2)
    async with running_cluster(folder / "nodes", engines, nodes=NODES, log=log, program=program) as cluster:
        async with Load(cluster, folder / "clients", random, size=size) as load:
            async with load.flowing():
                await load.until_acked(writers * each, within=60 + 0.05 * writers * each)
            await load.settle(within=settle_s)
            await cluster.terminated()
            figures = load.check(Demands(min_acks=writers * each))
    return Result(figures, {"writers": writers, "p99_s": load.p99()})


async def repeats(folder: Path, count: int, seed: int, *, engines: Engines, log: LogKind = "direct") -> Result:
    """Each message is sent to every node at once, and to all of them again: one is stored, and all name its seq."""
    random = Random(seed)
    async with running_cluster(folder / "nodes", engines, nodes=NODES, log=log) as cluster:
        async with AsyncExitStack() as stack:
            ann = await stack.enter_async_context(await Account.open(cluster.urls[0], "ann"))
            room = await ann.create_room("repeats", [])
            sockets = [
                await stack.enter_async_context(await RawSocket.open(url, token=ann.access_token))
                for url in cluster.urls
                for _ in range(2)
            ]
            for socket in sockets:
                await socket.expect("welcome")
            seqs = [await _ask_all(sockets, room, random) for _ in range(count)]
            head = (await ann.get(f"/conversations/{room}"))["head"]
        await cluster.terminated()
    first = seqs[0]
    if seqs != list(range(first, first + count)) or head != seqs[-1]:
        breach("I2", f"{count} messages have the seqs {seqs[0]}..{seqs[-1]}, and the conversation ends at {head}")
    return Result(Figures(acks=2 * count * len(sockets), entries=count), {"repeated": count})


async def _ask_all(sockets: Sequence[RawSocket], room: str, random: Random) -> int:
    """Send one message on all sockets at once, twice; returns the one seq that all are told."""
    payload = {"conversation_id": room, "client_id": uuid7(), "kind": "text", "text": str(random.random())}
    answers = []
    for _ in range(2):
        answers += await asyncio.gather(*(socket.acked("message.send", payload) for socket in sockets))
    told = {(answer["seq"], answer["message_id"]) for answer in answers}
    if len(told) != 1 or sum(not answer["duplicate"] for answer in answers) > 1:
        breach("I2", f"client_id {payload['client_id']} was answered with {answers}")
    return int(told.pop()[0])


async def revocations(
    folder: Path, count: int, seed: int, *, engines: Engines, log: LogKind = "direct", program: Program = PARLEY
) -> Result:
    """S2: a login with a socket on one node is logged out on another; the socket is closed soon and hears no more."""
    random = Random(seed)
    slowest = 0.0
    async with running_cluster(folder / "nodes", engines, nodes=NODES, log=log, program=program) as cluster:
        async with await Account.open(cluster.urls[0], "ann") as ann:
            for _ in range(count):
                here, there = random.sample(cluster.urls, 2)
                slowest = max(slowest, await _revoke(ann, here, there))
        await cluster.terminated()
    return Result(Figures(), {"revocations": count, "slowest_close_s": slowest})


async def _revoke(person: Account, here: str, there: str) -> float:
    """Log in, connect there, log out here; returns how many seconds the socket lived on."""
    async with Account(here, person.username, person.password) as login:
        await login.login()
        async with await RawSocket.open(there, token=login.access_token) as socket:
            await socket.expect("welcome")
            await login.post("/auth/logout")
            begun = time.monotonic()
            try:
                await socket.expect_close(SESSION_ENDED, within=REVOKED_S)
            except TimeoutError:
                breach("S2", f"a socket lived on {REVOKED_S} s after its session had ended on another node")
            return time.monotonic() - begun
