"""R2: the power fails under load. kill -9 leaves the page cache alone and so tests no fsync; this does."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

from parley.testing.checker import Demands
from parley.testing.disks import LoopDisk
from parley.testing.load import Load, Size
from parley.testing.scenarios.result import Result
from parley.testing.server import PARLEY, UNLIMITED, running_server, steady_port
from parley.testing.store_log import SqliteLog
from parley.testing.truth import breach

SIZE = Size(rooms=3, senders=6, listeners=1)


async def cut_rounds(folder: Path, rounds: int, seed: int, *, program: tuple[str, ...] = PARLEY) -> Result:
    """Cut the power of the server's disk, mount it again, start again. Every acknowledged message is there."""
    random = Random(seed)
    with LoopDisk(folder / "disk") as disk:
        port = steady_port()
        server = running_server(
            disk.path / "data", settings=UNLIMITED, log_path=folder / "server.log", port=port, program=program
        )
        async with server, Load(server, folder / "clients", random, size=SIZE) as load:
            async with load.flowing():
                for number in range(rounds):
                    await asyncio.sleep(random.uniform(0.1, 0.6))
                    with load.fault("power cut"):
                        stop(server.pid)
                        disk.cut_power()
                        server.kill()
                        await asyncio.to_thread(disk.unmount)
                        await asyncio.to_thread(disk.mount)
                        if (opinion := SqliteLog(server.store).check_database()) != "ok":
                            breach("I1", f"after power cut {number} the database is corrupt: {opinion}")
                        await server.started()
                    await load.until_acked(1)
            await load.settle()
            await server.terminated()
            figures = load.check(Demands(min_acks=20 * rounds, min_in_flight=rounds, min_faults_hit=0.8, recover_s=5.0))
    return Result(figures, {"rounds": rounds, "slowest_start_s": server.slowest_start_s})


def stop(pid: int) -> None:
    """Halt a child, so that it acknowledges nothing while the power fails. Returns when it stands still."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


# A checkpoint syncs in every mode. Without any, what the mode itself syncs is all that is synced.
WRITER = """
import sqlite3, sys
path, mode, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = sqlite3.connect(path, isolation_level=None)
db.execute("pragma journal_mode = wal")
db.execute("pragma synchronous = " + mode)
db.execute("pragma wal_autocheckpoint = 0")
db.execute("create table if not exists acknowledged (number integer primary key, text text)")
number = first
while True:
    db.execute("insert into acknowledged values (?, ?)", (number, "x" * 200))
    print(number, flush=True)
    number += 1
"""


def control(folder: Path, mode: str, cuts: int, seed: int) -> int:
    """The same cuts under a bare SQLite writer with `synchronous` in this mode: how many lost something acknowledged.

    FULL must lose nothing. NORMAL must lose nearly every time, or the cut proves nothing.
    """
    random = Random(seed)
    lossy = 0
    with LoopDisk(folder / f"control-{mode}") as disk:
        for number in range(cuts):
            # Each cut has its own database: what the one before has spoilt is no finding of this one.
            path = disk.path / f"{number}.db"
            acknowledged = write_until_cut(disk, path, mode, random)
            lossy += not acknowledged <= stored_numbers(path)
    return lossy


def write_until_cut(disk: LoopDisk, path: Path, mode: str, random: Random) -> set[int]:
    command = [sys.executable, "-c", WRITER, str(path), mode, "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as writer:
        assert writer.stdout is not None
        # The first line says that it runs; then it writes for a random while.
        written = writer.stdout.readline()
        time.sleep(random.uniform(0.02, 0.2))
        stop(writer.pid)
        disk.cut_power()
        writer.kill()
        written += writer.stdout.read()
    disk.unmount()
    disk.mount()
    return {int(line) for line in written.split(b"\n")[:-1]}


def stored_numbers(path: Path) -> set[int]:
    try:
        with closing(sqlite3.connect(path)) as database:
            return {row[0] for row in database.execute("SELECT number FROM acknowledged")}
    except sqlite3.DatabaseError:
        return set()
