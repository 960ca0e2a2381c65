"""M4 on the engines of a cluster: a node on PostgreSQL, with the direct log and with Kafka before it.

The floor is PostgreSQL itself: rows with three B-trees inserted by as many a commit as there are senders. The database
is seeded as a file, as for the other measures, and moved.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from parley.bench.figures import mean, percentile
from parley.bench.ingest import ROOMS, Senders, commits, plan
from parley.bench.opening import open_crowd
from parley.bench.process import Stopwatch, on_core, pin
from parley.bench.run import Row, Run, ratio, shares
from parley.bench.seed import Seeded, seed
from parley.bench.stage import QUIET, Stage
from parley.clock import SystemClock
from parley.move.run import move
from parley.testing.server import PARLEY, environment, running_server
from parley.testing.shared import address, own_database, own_topics

STORE, KAFKA = "PARLEY_TEST_POSTGRESQL", "PARLEY_TEST_KAFKA"
SENDERS = 256
TARGET_STORE = 0.3
TARGET_KAFKA = 5_000.0

_TABLE = (
    "CREATE TABLE m (id bigint PRIMARY KEY, room bigint, seq bigint, ts bigint, sender bigint, cid text, body text,"
    " UNIQUE (room, seq), UNIQUE (sender, cid))"
)


def measure(run: Run, log: str) -> list[Row]:
    """`log`: direct or kafka. Nothing, with a note, where an engine is missing."""
    store, kafka = address(STORE), address(KAFKA)
    if store is None or (log == "kafka" and kafka is None):
        run.notes.append(f"M4 on a shared database needs {STORE} and {KAFKA}: `make services` brings them.")
        return []
    senders, total = run.size(SENDERS, SENDERS, 8), run.size(50_000, 10_000, 200)
    preloaded = run.size(100_000, 20_000, 200)
    seconds = run.seconds(4.0, 2.0)
    name = f"PostgreSQL, log = {log}, {senders} senders, {total:,} messages after {preloaded:,}"
    run.say(f"M4 {name}: filling the database")
    with contextlib.ExitStack() as stack:
        stage = stack.enter_context(_node(run, senders, preloaded, store, kafka if log == "kafka" else None))
        crowd = stack.enter_context(open_crowd(stage, senders))
        crowd.settle()
        loop = Senders(stage, crowd, ROOMS)
        loop.go(min(total // 10, 20 * senders))
        loop.took_ms.clear()
        floors = [_floor(store, stage.row_bytes, senders, seconds)]
        run.say(f"M4 {name}: server")
        begun, acked, watch = stage.figures(), loop.acked, Stopwatch(stage.pid)
        ok = loop.go(total)
        spent, acked = watch.read(), loop.acked - acked
        committed = commits(begun, stage.figures())
        floors.append(_floor(store, stage.row_bytes, senders, seconds))
        faults = loop.faults()
    for fault in faults:
        run.fault("M4", f"{name}: {fault}")
    if not ok or not loop.took_ms:
        return []
    rate = acked / spent.wall
    p50, p99 = percentile(loop.took_ms, 0.5), percentile(loop.took_ms, 0.99)
    per_commit = f"; {acked / committed:.0f} messages a commit" if committed else ""
    return [
        Row(
            "M4", name, rate, "acks/s", mean(floors), ratio(rate, mean(floors)),
            TARGET_STORE if log == "direct" else None, "higher",
            note=f"p50 {p50:.1f} ms, p99 {p99:.1f} ms{per_commit}"
            + (f"; {TARGET_KAFKA:,.0f}/s are wanted" if log == "kafka" else ""),
            detail={"floor_rows_per_s": floors, "p50_ms": p50, "p99_ms": p99, **shares(spent)},
        )
    ]  # fmt: skip


@contextlib.contextmanager
def _node(run: Run, senders: int, preloaded: int, store: str, kafka: str | None) -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="parley-bench-", dir=run.folder))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = stack.enter_context(own_database(store))
        seeded = seed(folder / "seed", plan(senders, preloaded))
        file = f"sqlite:///{folder / 'seed' / 'parley.db'}"
        move(file, url, now_ms=SystemClock().now_ms(), verify=False, replace=False, tell=lambda table, rows: None)
        settings = {**QUIET, "store.url": url, "auth.signing_key_file": str(folder / "seed" / "signing.key")}
        if kafka is not None:
            settings |= stack.enter_context(_topics())
        _prepare(settings, folder)
        server = running_server(folder / "data", settings=settings, log_path=folder / "log")
        with on_core(run.cores.server):
            server.start()
        stack.callback(server.kill)
        pin(server.pid, run.cores.server)
        yield _staged(server.host, server.port, seeded, server.pid, folder)


def _staged(host: str, port: int, seeded: Seeded, pid: int, folder: Path) -> Stage:
    return Stage(
        host, port, seeded.tokens, seeded.user_ids, seeded.rooms, seeded.row_bytes, seeded.salt, pid, folder
    )  # fmt: skip


@contextlib.contextmanager
def _topics() -> Iterator[dict[str, str]]:
    with asyncio.Runner() as runner:
        context = own_topics(address(KAFKA) or "")
        topics = runner.run(context.__aenter__())
        try:
            yield {
                "log.kind": "kafka",
                "kafka.bootstrap": topics.bootstrap,
                "kafka.commands": f"{topics.prefix}commands",
                "kafka.results": f"{topics.prefix}results",
                "kafka.replicas": "1",
                "kafka.partitions": "4",
            }
        finally:
            runner.run(context.__aexit__(None, None, None))


def _prepare(settings: dict[str, str], folder: Path) -> None:
    """`parley migrate` makes the topics."""
    command = [*PARLEY, "migrate", "--data", str(folder / "data")]
    subprocess.run(command, env=environment(settings), check=True, stdout=subprocess.DEVNULL)


def _floor(store: str, size: int, batch: int, seconds: float) -> float:
    """Rows a second."""
    with own_database(store) as url:
        at = make_url(url)
        where = at.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(where) as connection, connection.cursor() as cursor:
            cursor.execute(_TABLE)
            connection.commit()
            body, made, begun = "x" * size, 0, time.perf_counter()
            while time.perf_counter() - begun < seconds:
                numbers = range(made, made + batch)
                rows = [(n << 12, n & 63, n, 0, n & 255, f"{os.getpid():08x}-{n:024x}", body) for n in numbers]
                cursor.executemany("INSERT INTO m VALUES (%s, %s, %s, %s, %s, %s, %s)", rows)
                connection.commit()
                made += batch
            return made / (time.perf_counter() - begun)
