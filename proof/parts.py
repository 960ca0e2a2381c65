"""What is proved, how often, and what counts as proof. The rows are those of the integrity page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from parley.testing.disks import why_no_disks
from parley.testing.scenarios import disk, drain, kill, network, powercut

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
    open: str = ""
    """What of the row is not measured by this part."""

    def why_not(self) -> str | None:
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
)
