"""M6: what memory the server needs for a connection that is logged in, watches others' presence and says nothing."""

from __future__ import annotations

import time

from parley.bench.crowd import Client, Crowd
from parley.bench.opening import open_crowd
from parley.bench.process import Stopwatch, pss_bytes, raise_file_limit
from parley.bench.run import Row, Run, shares
from parley.bench.seed import Plan
from parley.bench.stage import SETTINGS, Stage

TARGET = 12.0
CONNECTIONS = 10_000
WATCHED = 10
"""How many others each connection watches: a sidebar's worth. Every one of them is a place in the server's tables."""
FEW = 50
"""Opened and closed before the first look, so that what a server loads and caches once is not counted."""


def measure(run: Run) -> list[Row]:
    """Two rooms with everybody in both."""
    files = raise_file_limit()
    connections = min(run.size(CONNECTIONS, CONNECTIONS, 60), files - 500)
    settle = run.seconds(60.0, 10.0)
    workload = f"{connections:,} idle connections, 2 rooms, each watching {WATCHED}, {settle:.0f} s"
    run.say(f"M6 {workload}: filling the database")
    everybody = range(connections)
    with run.serve(Plan(connections, [everybody, everybody]), SETTINGS) as stage:
        assert stage.pid is not None
        with open_crowd(stage, min(FEW, connections)) as few:
            few.settle()
        time.sleep(1.0)
        before = pss_bytes(stage.pid)

        def told(done: int) -> None:
            if done % 1000 == 0:
                run.say(f"M6 {workload}: {done:,} open")

        with open_crowd(
            stage, connections, then=lambda number: _watch(stage, number, connections), progress=told
        ) as crowd:
            run.say(f"M6 {workload}: settling")
            _listen(crowd, settle / 2)
            watch = Stopwatch(stage.pid)
            _listen(crowd, settle / 2)
            spent = watch.read()
            after = pss_bytes(stage.pid)
            lost = crowd.closed
    if lost:
        run.fault("M6", f"{lost} idle connections were closed")
    cpu_us = (spent.server or 0.0) * 1e6 / spent.wall / connections
    each = (after - before) / connections / 1024
    return [
        Row(
            "M6", workload, each, "KiB PSS / connection", None, each, TARGET, durable=False,
            note=f"whole server {after / 2**20:.0f} MiB",
            detail={
                "pss_before": before, "pss_after": after, "connections": connections, "watched": WATCHED,
                "server_cpu_us_per_s_per_connection": cpu_us, **shares(spent),
            },
        )
    ]  # fmt: skip


def _watch(stage: Stage, number: int, connections: int) -> tuple[str, dict[str, list[str]]]:
    """The next ten in a ring: each is watched by as many as it watches."""
    others = [stage.user_ids[(number + 1 + k) % connections] for k in range(min(WATCHED, connections - 1))]
    return "presence.watch", {"user_ids": [str(it) for it in others]}


def _listen(crowd: Crowd, seconds: float) -> None:
    """Answer pings, as any client does, and note nothing."""
    for client in crowd.clients:
        client.hear = _nothing
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        crowd.drain(min(left, 0.5))


def _nothing(_client: Client, _payload: bytes, _size: int) -> None:
    """Heard."""
