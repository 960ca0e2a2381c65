"""M5: from sending a message to its ack, which says that it is on the disk: alone, and at 30% of what M4 gives."""

from __future__ import annotations

import time
from dataclasses import dataclass

from parley.bench.crowd import Client
from parley.bench.ears import AnswerEar, Ear
from parley.bench.figures import mean, percentile
from parley.bench.floors import Latency
from parley.bench.ingest import ROOMS, Senders, plan
from parley.bench.opening import open_crowd
from parley.bench.openloop import Schedule, pour
from parley.bench.process import Spent, Stopwatch
from parley.bench.run import TEXT, Row, Run, shares
from parley.bench.stage import Stage
from parley.bench.wire import Frame, Messages

TARGET_P50 = 2.0
TARGET_P99 = 3.0
SHARE = 0.3
SENDERS = 256
REQUEST, ANSWER = 330, 180
"""Bytes on the wire of a message of 128 letters and of its ack; the loopback floor sends as many."""


@dataclass(frozen=True, slots=True)
class Floor:
    """One round trip and one synced append, each by itself, before and after."""

    p50_ms: float
    p99_ms: float
    parts: dict[str, list[float]]


def _parts(run: Run, size: int) -> tuple[Latency, Latency]:
    run.say("M5: floors")
    trip = run.floors.round_trip(REQUEST, ANSWER, run.size(3000, 1000, 50))
    sync = run.floors.durable(size, 1, run.seconds(2.0, 0.7))
    return trip, Latency(sync.commit_p50_ms, sync.commit_p99_ms)


def _floor(measured: list[tuple[Latency, Latency]]) -> Floor:
    return Floor(
        mean([trip.p50_ms + sync.p50_ms for trip, sync in measured]),
        mean([trip.p99_ms + sync.p99_ms for trip, sync in measured]),
        {
            "round_trip_p50_ms": [trip.p50_ms for trip, _ in measured],
            "round_trip_p99_ms": [trip.p99_ms for trip, _ in measured],
            "fdatasync_p50_ms": [sync.p50_ms for _, sync in measured],
            "fdatasync_p99_ms": [sync.p99_ms for _, sync in measured],
        },
    )


def measure(run: Run) -> list[Row]:
    """Floors, server alone, server under load, floors."""
    preloaded = run.size(100_000, 20_000, 500)
    faults: list[str] = []
    with run.serve(plan(SENDERS, preloaded)) as stage:
        floors = [_parts(run, stage.row_bytes)]
        alone, spent_alone = _alone(run, stage, faults)
        floors.append(_parts(run, stage.row_bytes))
        loaded, spent_loaded, rate = _loaded(run, stage, faults)
        floors.append(_parts(run, stage.row_bytes))
    for fault in faults:
        run.fault("M5", fault)
    rows = []
    if alone:
        rows += _rows("one at a time", alone, _floor(floors[:2]), spent_alone)
    if loaded:
        workload = f"open loop at {rate:,.0f}/s, 30% of M4 at {SENDERS} senders"
        rows += _rows(workload, loaded, _floor(floors[1:]), spent_loaded)
    return rows


def _alone(run: Run, stage: Stage, faults: list[str]) -> tuple[list[float], Spent]:
    run.say("M5: one at a time")
    with open_crowd(stage, 1) as crowd:
        crowd.settle()
        loop = Senders(stage, crowd, ROOMS)
        loop.go(run.size(300, 100, 5))
        loop.took_ms.clear()
        watch = Stopwatch(stage.pid)
        loop.go(run.size(5000, 1000, 30))
        spent = watch.read()
        faults += loop.faults()
    return loop.took_ms, spent


def _loaded(run: Run, stage: Stage, faults: list[str]) -> tuple[list[float], Spent, float]:
    with open_crowd(stage, SENDERS) as crowd:
        crowd.settle()
        known = run.known.get(f"acks/s at {SENDERS}")
        if known is None:
            known = _capacity(run, Senders(stage, crowd, ROOMS))
            crowd.settle()
        rate = SHARE * known
        run.say(f"M5: open loop at {rate:,.0f}/s")
        count = int(rate * run.seconds(12.0, 4.0))
        # The numbers go on: whatever this crowd sent before has other client ids.
        schedule = Schedule(10_000_000, count, rate)
        took: list[float] = []

        def acked(_client: Client, frame: Frame) -> None:
            number = int(frame.id or 0)
            if schedule.counts(number):
                took.append((time.perf_counter() - schedule.due(number)) * 1e3)

        ears: list[Ear] = [AnswerEar(client, on_ack=acked) for client in crowd.clients]
        senders = [(client, Messages(stage.rooms[client.number % ROOMS], TEXT, stage.salt)) for client in crowd.clients]
        watch = Stopwatch(stage.pid)
        schedule.start = time.perf_counter() + 0.02
        if not pour(crowd, senders, schedule, lambda _: sum(ear.acks for ear in ears) >= count, 10.0):
            faults.append(f"open loop: {count} sent, {sum(ear.acks for ear in ears)} acknowledged")
        spent = watch.read()
        crowd.settle()
        faults += [it for ear in ears for it in (*ear.wrong, *ear.errors)]
        odd = sum(ear.log_bytes != ears[at % ROOMS].log_bytes for at, ear in enumerate(ears))
        if odd:
            faults.append(f"open loop: {odd} clients did not get the bytes that the first of their room got")
    return took, spent, rate


def _capacity(run: Run, loop: Senders) -> float:
    """M4's figure, measured shortly, when M4 itself was not."""
    run.say(f"M5: what {SENDERS} senders get")
    watch = Stopwatch(None)
    loop.go(run.size(20_000, 5_000, 300))
    return loop.acked / watch.read().wall


def _rows(workload: str, took: list[float], floor: Floor, spent: Spent) -> list[Row]:
    p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
    detail = {"count": len(took), "p50_ms": p50, "p99_ms": p99, **floor.parts, **shares(spent)}
    return [
        Row(
            "M5", f"{workload}, p50", p50, "ms send → ack", floor.p50_ms, p50 / floor.p50_ms, TARGET_P50,
            detail=detail,
        ),
        Row(
            "M5", f"{workload}, p99", p99, "ms send → ack", floor.p99_ms, p99 / floor.p99_ms, TARGET_P99,
            note=f"{p99 / floor.p50_ms:.1f} times the floor's p50",
        ),
    ]  # fmt: skip


def measure_borrowed(run: Run, stage: Stage) -> list[Row]:
    """At a running server, slowly enough for its limits: no floor, because its disk is not ours to measure."""
    workload = "one at a time, one account"
    run.say(f"M5 {workload}")
    with open_crowd(stage, 1) as crowd:
        crowd.settle()
        loop = Senders(stage, crowd, 1)
        for _ in range(run.size(500, 150, 10)):
            loop.go(1)
            time.sleep(0.03)
        faults = loop.faults()
    for fault in faults:
        run.fault("M5", f"{workload}: {fault}")
    if not loop.took_ms:
        return []
    note = "a running server, no floor"
    return [
        Row("M5", f"{workload}, p50", percentile(loop.took_ms, 0.5), "ms send → ack", note=note),
        Row("M5", f"{workload}, p99", percentile(loop.took_ms, 0.99), "ms send → ack", note=note),
    ]
