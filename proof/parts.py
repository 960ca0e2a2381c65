"""What is proved, how often, and what counts as proof. The rows are those of the integrity page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from parley.testing.cluster import Engines
from parley.testing.disks import why_no_disks
from parley.testing.scenarios import cluster, cluster_engines, disk, drain, kill, network, powercut
from parley.testing.shared import address

Totals = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Part:
    """One row: a fault, done `full` times in chunks that each have their own server, data and verdict.

    `run(folder, count, seed)` raises `Breach` at the first broken promise, so that totals only exist of promises kept.
    """

    name: str
    fault: str
    full: int
    chunk: int
    run: Callable[[Path, int, int], Totals]
    passes: Mapping[str, Callable[[Totals], bool]]
    """What the totals must show beside the invariants, in the words of the report."""
    needs_disks: bool = False
    needs: tuple[str, ...] = ()
    """The shared engines that it wants, by their variables."""
    open: str = ""
    """What of the row is not measured by this part."""

    def why_not(self) -> str | None:
        missing = [name for name in self.needs if address(name) is None]
        if missing:
            return f"{', '.join(missing)} not set; make services brings the engines"
        return why_no_disks() if self.needs_disks else None


def within_five_seconds(total: Totals) -> bool:
    """The slowest start and the slowest recovery after a start, though they need not have been of one round."""
    return total["slowest_start_s"] + total["slowest_recovery_s"] <= 5


def run_kill(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(kill.kill_rounds(folder, count, seed)).flat()


def run_power_cuts(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(powercut.cut_rounds(folder, count, seed)).flat()


def run_power_control(folder: Path, count: int, seed: int) -> Totals:
    lossy = {mode: powercut.control(folder, mode, count, seed) for mode in ("FULL", "NORMAL")}
    return {"rounds": count, "lossy_full": lossy["FULL"], "lossy_normal": lossy["NORMAL"]}


def run_full_disk(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(disk.fill_rounds(folder, count, seed)).flat()


def run_cuts(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(network.cut_rounds(folder, count, seed, within=60 + 0.5 * count)).flat()


def run_drain(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(drain.drain_rounds(folder, count, seed)).flat()


def run_lost_acks(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(network.lost_acks(folder, count, seed, within=60 + 0.1 * count)).flat()


POSTGRESQL, MARIADB, REDIS, KAFKA = (f"PARLEY_TEST_{name}" for name in ("POSTGRESQL", "MARIADB", "REDIS", "KAFKA"))


def url(variable: str) -> str:
    found = address(variable)
    assert found is not None, f"{variable} is not set"
    return found


def run_node_kills(folder: Path, count: int, seed: int) -> Totals:
    engines = Engines(url(POSTGRESQL), url(REDIS), url(KAFKA))
    return asyncio.run(cluster.node_kills(folder, count, seed, engines=engines, log="kafka")).flat()


def run_rolling(folder: Path, count: int, seed: int) -> Totals:
    engines = Engines(url(POSTGRESQL), url(REDIS))
    return asyncio.run(cluster.rolling_restarts(folder, count, seed, engines=engines)).flat()


def run_database(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(cluster_engines.database_faults(folder, count, seed)).flat()


def run_database_mariadb(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(cluster_engines.database_faults(folder, count, seed, store="mariadb")).flat()


def run_commit_cuts(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(cluster_engines.commit_cuts(folder, count, seed, store_url=url(POSTGRESQL))).flat()


def run_redis(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(cluster_engines.redis_faults(folder, count, seed, store_url=url(POSTGRESQL), away_s=10)).flat()


def run_kafka(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(cluster_engines.kafka_faults(folder, count, seed, store_url=url(POSTGRESQL))).flat()


def run_kafka_stream(folder: Path, count: int, seed: int) -> Totals:
    store = url(POSTGRESQL)
    return asyncio.run(cluster_engines.kafka_faults(folder, count, seed, store_url=store, log="direct")).flat()


def run_repeats(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(cluster.repeats(folder, count, seed, engines=Engines(url(POSTGRESQL)))).flat()


def run_crowd(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(cluster.crowded(folder, count, seed, engines=Engines(url(POSTGRESQL), url(REDIS)))).flat()


def run_crowd_mariadb(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(cluster.crowded(folder, count, seed, engines=Engines(url(MARIADB), url(REDIS)))).flat()


def run_revocations(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(cluster.revocations(folder, count, seed, engines=Engines(url(POSTGRESQL), url(REDIS)))).flat()


def run_everything(folder: Path, count: int, seed: int) -> Totals:
    return asyncio.run(cluster_engines.all_faults(folder, count, seed)).flat()


def recovers(total: Totals) -> bool:
    return total["slowest_recovery_s"] <= cluster.RECOVER_S


PARTS = (
    Part(
        "R1",
        "kill -9 at random under load",
        full=1000,
        chunk=50,
        run=run_kill,
        passes={
            "at least 500 acknowledged a kill": lambda total: total["acks"] >= 500 * total["rounds"],
            "at least 80% of kills with sends in flight": lambda total: total["faults_hit"] >= 0.8 * total["faults"],
            "first new ack within 5 s of each": within_five_seconds,
        },
        open="300 kills at exact system calls",
    ),
    Part(
        "R2",
        "power cuts under load, SQLite",
        full=1000,
        chunk=25,
        run=run_power_cuts,
        passes={"first new ack within 5 s of each": within_five_seconds},
        needs_disks=True,
        open="PostgreSQL, MariaDB; simulated cuts of the write trace",
    ),
    Part(
        "R2-control",
        "the same cuts under a bare writer that does not sync (NORMAL), and one that does (FULL)",
        full=100,
        chunk=20,
        run=run_power_control,
        passes={
            "NORMAL loses in at least 90%": lambda total: total["lossy_normal"] >= 0.9 * total["rounds"],
            "FULL never": lambda total: total["lossy_full"] == 0,
        },
        needs_disks=True,
    ),
    Part(
        "R7",
        "disk filled and freed under load",
        full=100,
        chunk=10,
        run=run_full_disk,
        passes={
            "refused by name, never acknowledged": lambda total: total["refusals"] >= 5 * total["rounds"],
            "goes on within 5 s": lambda total: total["slowest_recovery_s"] <= 5,
        },
        needs_disks=True,
        open="ENOSPC at each of 500 writes; EIO at each of 100 fsyncs",
    ),
    Part(
        "R11",
        "connections cut at random bytes: closed, reset, half open, byte by byte",
        full=20_000,
        chunk=500,
        run=run_cuts,
        passes={"every kind of cut": lambda total: all(total[kind] > 0 for kind in ("close", "reset", "half_open"))},
        open="30% packet loss",
    ),
    Part(
        "R12",
        "rolling restarts by SIGTERM under load",
        full=300,
        chunk=20,
        run=run_drain,
        passes={"send to ack p99 at most 2 s": lambda total: total["p99_s"] <= 2},
    ),
    Part(
        "R13",
        "acks that never arrive, sends repeated",
        full=100_000,
        chunk=2000,
        run=run_lost_acks,
        passes={"repeats answered as repeats": lambda total: total["duplicates"] >= 0.5 * total["lost_acks"]},
        open="repeats after 31 s, 61 min and 30 days; on another node",
    ),
    Part(
        "R3",
        "kill -9 of a node of three under load: PostgreSQL, Redis, log through Kafka",
        full=500,
        chunk=20,
        run=run_node_kills,
        passes={"first new ack within 15 s of each": recovers},
        needs=(POSTGRESQL, REDIS, KAFKA),
    ),
    Part(
        "R4",
        "PostgreSQL stopped at once and killed, in turn, under load of two nodes",
        full=200,
        chunk=20,
        run=run_database,
        passes={"first new ack within 15 s of each": recovers},
    ),
    Part(
        "R4-mariadb",
        "MariaDB stopped and killed, in turn, under load of two nodes",
        full=200,
        chunk=20,
        run=run_database_mariadb,
        passes={"first new ack within 15 s of each": recovers},
    ),
    Part(
        "R4-cut",
        "connections between nodes and PostgreSQL cut at random bytes of its answers",
        full=1000,
        chunk=100,
        run=run_commit_cuts,
        passes={"every cut done": lambda total: total["cuts"] > 0},
        needs=(POSTGRESQL,),
    ),
    Part(
        "R5",
        "Redis emptied, killed and away for 10 s, in turn, under load of two nodes",
        full=300,
        chunk=15,
        run=run_redis,
        passes={"deliveries meanwhile p99 at most 5 s": lambda total: total["delivery_p99_s"] <= 5},
        needs=(POSTGRESQL,),
        open="10 minutes away in one piece",
    ),
    Part(
        "R6",
        "Kafka killed, and away for 3 s, in turn, as the log of two nodes",
        full=100,
        chunk=10,
        run=run_kafka,
        passes={"every fault under load": lambda total: total["faults"] > 0},
        needs=(POSTGRESQL,),
        open="10 minutes away in one piece",
    ),
    Part(
        "R6-stream",
        "the same, with the log direct and the stream on: chat goes on",
        full=100,
        chunk=10,
        run=run_kafka_stream,
        passes={"first new ack within 15 s of each": recovers},
        needs=(POSTGRESQL,),
    ),
    Part(
        "R12-nodes",
        "rolling restarts of three nodes under load",
        full=300,
        chunk=30,
        run=run_rolling,
        passes={"send to ack p99 at most 2 s": lambda total: total["p99_s"] <= 2},
        needs=(POSTGRESQL, REDIS),
    ),
    Part(
        "R13-nodes",
        "one message asked twelve times of three nodes, six at once",
        full=10_000,
        chunk=1000,
        run=run_repeats,
        passes={"each answered": lambda total: total["acks"] == 12 * total["repeated"]},
        needs=(POSTGRESQL,),
    ),
    Part(
        "R14",
        "64 writers to one conversation over three nodes, PostgreSQL; a count is a message of each",
        full=2000,
        chunk=500,
        run=run_crowd,
        passes={"64 messages a count": lambda total: total["acks"] > 0},
        needs=(POSTGRESQL, REDIS),
    ),
    Part(
        "R14-mariadb",
        "the same on MariaDB",
        full=2000,
        chunk=500,
        run=run_crowd_mariadb,
        passes={"64 messages a count": lambda total: total["acks"] > 0},
        needs=(MARIADB, REDIS),
    ),
    Part(
        "S2-nodes",
        "sessions ended on one node with a live socket on another",
        full=1000,
        chunk=200,
        run=run_revocations,
        passes={"closed within 5 s": lambda total: total["slowest_close_s"] <= 5},
        needs=(POSTGRESQL, REDIS),
    ),
    Part(
        "R3-R6",
        "a node, Redis, Kafka and PostgreSQL killed in turn under load of three nodes",
        full=100,
        chunk=12,
        run=run_everything,
        passes={"first new ack within 15 s of each": recovers},
    ),
)
