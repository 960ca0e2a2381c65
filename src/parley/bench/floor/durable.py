"""What durability costs on this machine: one append and fdatasync; and one SQLite writer that does nothing else.

`durable.py DIR BYTES BATCH SECONDS` prints JSON. It imports nothing of Parley's and can be read in a minute:

- raw: append BATCH x BYTES, fdatasync; milliseconds each
- sqlite: a table with three B-trees (its own, room and seq, sender and client id), WAL, synchronous=FULL,
  BATCH rows a commit
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from pathlib import Path


def raw(folder: Path, size: int, batch: int, seconds: float) -> dict[str, float]:
    file = folder / "floor.bin"
    data = b"x" * (size * batch)
    fd = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC)
    took: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        os.write(fd, data)
        os.fdatasync(fd)
        took.append(time.perf_counter() - begin)
    os.close(fd)
    file.unlink()
    took.sort()
    return {
        "commits_per_s": len(took) / seconds,
        "p50_ms": took[len(took) // 2] * 1e3,
        "p99_ms": took[int(len(took) * 0.99)] * 1e3,
    }


def sqlite(folder: Path, size: int, batch: int, seconds: float) -> dict[str, float]:
    file = folder / "floor.db"
    body = "x" * size
    db = sqlite3.connect(file, isolation_level=None)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=full")
    db.execute(
        "create table m(id integer primary key, room integer, seq integer, ts integer, sender integer, cid text,"
        " body text, unique(room, seq), unique(sender, cid))"
    )
    made, cpu, begin = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - begin < seconds:
        numbers = range(made, made + batch)
        rows = [(n << 12, n & 63, n, 0, n & 255, f"{abs(hash((n, 'c'))):032x}", body) for n in numbers]
        db.execute("begin immediate")
        db.executemany("insert into m values(?,?,?,?,?,?,?)", rows)
        db.execute("commit")
        made += batch
    wall = time.perf_counter() - begin
    spent = time.process_time() - cpu
    db.close()
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    return {"rows_per_s": made / wall, "commits_per_s": made / batch / wall, "cpu_us_per_row": spent * 1e6 / made}


if __name__ == "__main__":
    where, bytes_, rows_, seconds_ = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    found = {"raw": raw(where, bytes_, rows_, seconds_), "sqlite": sqlite(where, bytes_, rows_, seconds_)}
    sys.stdout.write(json.dumps({"batch": rows_, "bytes": bytes_, **found}) + "\n")
