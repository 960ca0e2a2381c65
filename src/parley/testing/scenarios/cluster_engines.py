"""R4, R5 and R6: what the nodes stand on is stopped, killed, emptied and away, under load. The engines are the test's
own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random

from sqlalchemy import make_url

from parley.testing.chaos import ChaosProxy, Cut, Fate
from parley.testing.checker import Demands
from parley.testing.cluster import Cluster, Engines, LogKind, running_cluster
from parley.testing.engines import Engine, KafkaServer, MariadbServer, PostgresqlServer, RedisServer
from parley.testing.history import Acked, Received, read_history
from parley.testing.load import Load, Size
from parley.testing.scenarios.cluster import PAUSE_S, RECOVER_S
from parley.testing.scenarios.result import Result
from parley.testing.server import PARLEY
from parley.testing.truth import breach

NODES = 2
SIZE = Size(rooms=2, senders=4, listeners=2)
WIDE = Size(rooms=3, senders=6, listeners=3)
HEALED_S = 5.0
"""R5: how long a delivery may take while Redis is away."""
STORES: dict[str, type[Engine]] = {"postgresql": PostgresqlServer, "mariadb": MariadbServer}


async def database_faults(folder: Path, rounds: int, seed: int, *, store: str = "postgresql") -> Result:
    """Immediate stops and kills in turn. What was in doubt is settled by its client_id."""
    random = Random(seed)
    with STORES[store]() as engine:
        async with running_cluster(folder / "nodes", Engines(store=engine.url), nodes=NODES) as cluster:
            async with Load(cluster, folder / "clients", random, size=SIZE, pause_s=PAUSE_S) as load:
                async with load.flowing(drain_s=60):
                    for number in range(rounds):
                        await asyncio.sleep(random.uniform(0.1, 0.6))
                        with load.fault("the database is killed" if number % 2 else "the database is stopped"):
                            await asyncio.to_thread(engine.kill if number % 2 else engine.stop_now)
                            await engine.started()
                        await load.until_acked(len(load.clients))
                return await judged(cluster, load, rounds)


async def commit_cuts(folder: Path, cuts: int, seed: int, *, store_url: str) -> Result:
    """The nodes' connections to the database are cut at random bytes of its answers, those to COMMIT among them."""
    random = Random(seed)
    calm = asyncio.Event()

    def plan(_: int) -> Fate:
        if calm.is_set():
            return Fate()
        # Enough for what a connection asks when it is new; then anywhere.
        return Fate(down_bytes=int(10 ** random.uniform(3.7, 4.7)), cut=random.choice([Cut.RESET, Cut.CLOSE]))

    at = make_url(store_url)
    assert at.host is not None
    assert at.port is not None
    calm.set()  # the start is not what is tried
    async with ChaosProxy(at.host, at.port, plan) as proxy:
        engines = Engines(store=store_url, store_port=proxy.port)
        async with running_cluster(folder / "nodes", engines, nodes=NODES) as cluster:
            async with Load(cluster, folder / "clients", random, size=SIZE, pause_s=PAUSE_S) as load:
                async with load.flowing(drain_s=60):
                    calm.clear()
                    proxy.cut_all()
                    async with asyncio.timeout(60 + cuts):
                        while done(proxy) < cuts:
                            await load.until_acked(1)
                    calm.set()
                    proxy.cut_all()
                    await load.until_acked(len(load.clients))
                result = await judged(cluster, load, 0)
    return Result(result.figures, result.more | {"cuts": done(proxy)})


def done(proxy: ChaosProxy) -> int:
    return sum(proxy.counts[cut] for cut in Cut)


async def redis_faults(
    folder: Path, rounds: int, seed: int, *, store_url: str, away_s: float = 2.0, program: tuple[str, ...] = PARLEY
) -> Result:
    """FLUSHALL, a kill, and Redis away for a while, in turn. Everybody hears everything all the same, within 5 s."""
    random = Random(seed)
    with RedisServer() as redis:
        engines = Engines(store=store_url, redis=redis.url)
        async with running_cluster(folder / "nodes", engines, nodes=NODES, program=program) as cluster:
            async with Load(cluster, folder / "clients", random, size=SIZE, pause_s=PAUSE_S) as load:
                async with load.flowing():
                    for number in range(rounds):
                        await load.until_acked(random.randint(20, 60))
                        with load.fault(("FLUSHALL", "Redis is killed", "Redis is away")[number % 3]):
                            await break_redis(redis, number % 3, away_s)
                        await load.until_acked(20)
                result = await judged(cluster, load, rounds)
                late = slowest_deliveries(load)
    if late["delivery_p99_s"] > HEALED_S:
        breach("R5", f"the slowest hundredth of deliveries took {late['delivery_p99_s']:.1f} s while Redis was broken")
    return Result(result.figures, result.more | late)


async def break_redis(redis: RedisServer, how: int, away_s: float) -> None:
    if how == 0:
        with redis.connect() as client:
            await asyncio.to_thread(client.flushall)
        return
    redis.kill()
    if how == 2:
        await asyncio.sleep(away_s)
    await redis.started()


async def kafka_faults(
    folder: Path, rounds: int, seed: int, *, store_url: str, log: LogKind = "kafka", away_s: float = 3.0
) -> Result:
    """Kafka is killed, and away for a while, in turn. With `log=kafka` sends wait or are refused and come again; with
    `log=direct` and the stream on, nobody notices."""
    random = Random(seed)
    with KafkaServer() as kafka:
        engines = Engines(store=store_url, kafka=kafka.url)
        settings = {"kafka.stream": "entries"} if log == "direct" else {}
        async with running_cluster(folder / "nodes", engines, nodes=NODES, log=log, settings=settings) as cluster:
            async with Load(cluster, folder / "clients", random, size=SIZE, pause_s=PAUSE_S) as load:
                async with load.flowing(drain_s=90):
                    for number in range(rounds):
                        await load.until_acked(random.randint(10, 40), within=90)
                        with load.fault("Kafka is killed" if number % 2 == 0 else "Kafka is away"):
                            kafka.kill()
                            if log == "direct":
                                await load.until_acked(10)
                            if number % 2:
                                await asyncio.sleep(away_s)
                            await kafka.started()
                        await load.until_acked(10, within=90)
                result = await judged(cluster, load, rounds, recover_s=None if log == "kafka" else RECOVER_S)
    return result


async def all_faults(folder: Path, rounds: int, seed: int, *, log: LogKind = "kafka") -> Result:
    """Three nodes over PostgreSQL, Redis and Kafka of their own; a node, Redis, Kafka and the database die in turn."""
    random = Random(seed)
    with PostgresqlServer() as store, RedisServer() as redis, KafkaServer() as kafka:
        engines = Engines(store.url, redis.url, kafka.url)
        async with running_cluster(folder / "nodes", engines, nodes=3, log=log) as cluster:
            async with Load(cluster, folder / "clients", random, size=WIDE, pause_s=PAUSE_S) as load:
                async with load.flowing(drain_s=90):
                    for number in range(rounds):
                        await load.until_acked(random.randint(30, 90), within=90)
                        doomed = (random.choice(cluster.nodes), redis, kafka, store)[number % 4]
                        with load.fault(f"kill -9 of {type(doomed).__name__}"):
                            doomed.kill()
                            await doomed.started()
                        await load.until_acked(10, within=90)
                return await judged(cluster, load, rounds, recover_s=RECOVER_S)


async def judged(cluster: Cluster, load: Load, rounds: int, recover_s: float | None = RECOVER_S) -> Result:
    await load.settle(within=30)
    await cluster.terminated()
    figures = load.check(Demands(min_acks=10 * rounds, recover_s=recover_s))
    return Result(figures, {"rounds": rounds, "p99_s": load.p99()})


def slowest_deliveries(load: Load) -> dict[str, float]:
    """Seconds from an ack to each client that heard the message; what was heard before the ack took none."""
    acked: dict[str, float] = {}
    heard: list[tuple[str, float]] = []
    for client in load.clients:
        for event in read_history(client.history.path):
            if isinstance(event, Acked):
                acked.setdefault(event.client_id, event.time)
            elif isinstance(event, Received) and event.client_id is not None:
                heard.append((event.client_id, event.time))
    times = sorted(max(0.0, time - acked[client_id]) for client_id, time in heard if client_id in acked)
    return {"delivery_p99_s": percentile(times, 0.99), "delivery_max_s": times[-1] if times else 0.0}


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[int(len(ordered) * share)] if ordered else 0.0
