"""R3, R12, R13 and R14: nodes that are killed, rolled, asked the same again, and written to by many at once."""

from __future__ import annotations

import asyncio
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
    folder: Path, each: int, seed: int, *, engines: Engines, writers: int = 64, log: LogKind = "direct"
) -> Result:
    """Many write to one conversation over all nodes: one dense order, and no reader skips any of it."""
    random = Random(seed)
    size = Size(rooms=1, senders=writers, listeners=2)
    async with running_cluster(folder / "nodes", engines, nodes=NODES, log=log) as cluster:
        async with Load(cluster, folder / "clients", random, size=size) as load:
            async with load.flowing():
                await load.until_acked(writers * each, within=60 + 0.05 * writers * each)
            await load.settle(within=60)
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
