"""M2: how many deliveries a second of server CPU gives at the highest rate that holds, where messages can be joined."""

from __future__ import annotations

import time
from dataclasses import dataclass

from parley.bench.crowd import Crowd
from parley.bench.ears import AnswerEar, Ear
from parley.bench.figures import mean, percentile
from parley.bench.opening import open_crowd
from parley.bench.openloop import Schedule, pour
from parley.bench.process import Spent, Stopwatch
from parley.bench.run import TEXT, Row, Run, ratio, shares
from parley.bench.search import RateSearch
from parley.bench.seed import Plan
from parley.bench.stage import Stage
from parley.bench.wire import Entry, Messages, number_of

TARGET = 15.0
BOUND_MS = 100.0
PUBLISHERS = 20
READERS = 4
PATIENCE = 5.0
START = 500.0
CONFIRMATIONS = 6


@dataclass(frozen=True, slots=True)
class Trial:
    """One rate, tried."""

    rate: float
    complete: bool
    p50_ms: float
    p99_ms: float
    deliveries: int
    frame_bytes: float
    spent: Spent

    @property
    def held(self) -> bool:
        return self.complete and self.p99_ms <= BOUND_MS

    @property
    def per_cpu_second(self) -> float:
        return self.deliveries / (self.spent.server or 1.0)


class Audience:
    """A crowd of which some publish, some are read with care and all others are counted."""

    def __init__(self, stage: Stage, members: int, publishers: int, first: int) -> None:
        self._stage = stage
        self._crowd: Crowd = open_crowd(stage, members)
        self._members = members
        self._first = self._next = first
        clients = self._crowd.clients
        self._publishers = [AnswerEar(client) for client in clients[:publishers]]
        # From all over the room: the first to be written to and the last.
        span = members - publishers
        self._readers = [
            Ear(clients[publishers + (span - 1) * n // (READERS - 1)], self._heard) for n in range(min(READERS, span))
        ]
        self._counted = [client for client in clients if client.hear is None]
        messages = Messages(stage.rooms[0], TEXT, stage.salt)
        self._senders = [(ear.client, messages) for ear in self._publishers]
        self._schedule = Schedule(0, 0, 1.0)
        self._latencies: list[float] = []
        self._bytes = 0
        self._crowd.settle()

    @property
    def next(self) -> int:
        """The number of the next message: also of a new audience of the same room."""
        return self._next

    def close(self) -> None:
        self._crowd.close()

    def _heard(self, entries: list[Entry]) -> None:
        now, schedule = time.perf_counter(), self._schedule
        for entry in entries:
            number = number_of(entry.client_id or "")
            if schedule.counts(number):
                self._latencies.append(now - schedule.due(number))

    def trial(self, rate: float, seconds: float) -> Trial:
        """Publish at this rate for so long."""
        count = max(PUBLISHERS, int(rate * seconds))
        self._latencies = []
        heard = self._readers[0].entries
        read = self._readers[0].log_bytes
        watch = Stopwatch(self._stage.pid)
        self._schedule = Schedule(self._next, count, rate)
        self._next += count
        complete = pour(self._crowd, self._senders, self._schedule, self._all_have, PATIENCE)
        spent = watch.read()
        size = (self._readers[0].log_bytes - read) / max(1, self._readers[0].entries - heard)
        late = [it * 1e3 for it in self._latencies] or [float("inf")]
        return Trial(
            rate, complete, percentile(late, 0.5), percentile(late, 0.99), count * self._members, size, spent
        )  # fmt: skip

    def _all_have(self, counted: int) -> bool:
        self._bytes += counted
        read = self._readers[0]
        return (
            sum(ear.acks for ear in self._publishers) >= self._sent
            and all(ear.entries >= self._sent for ear in self._readers)
            and self._bytes >= read.log_bytes * len(self._counted)
        )

    @property
    def _sent(self) -> int:
        return self._next - self._first

    def faults(self) -> list[str]:
        """What was lost, doubled or out of order on connections that live. Being refused or closed is not that."""
        self._crowd.settle()
        wrong = [it for ear in (*self._publishers, *self._readers) for it in ear.wrong]
        if self._crowd.closed:
            return wrong
        read = self._readers[0]
        acks = sum(ear.acks for ear in self._publishers)
        if read.entries != acks:
            wrong.append(f"{acks} acknowledged, {read.entries} heard")
        odd = sum(client.counted != read.log_bytes for client in self._counted)
        odd += sum(ear.log_bytes != read.log_bytes for ear in (*self._publishers, *self._readers))
        if odd:
            wrong.append(f"{odd} clients did not get the bytes that the reader got")
        return wrong


class Searcher:
    """Tries rates on audiences; after a rate that did not hold, the next begins with a new one."""

    def __init__(self, run: Run, stage: Stage, members: int) -> None:
        self._run = run
        self._stage = stage
        self._members = members
        self._audience: Audience | None = None
        self._next = 1
        self.tried: list[Trial] = []

    def trial(self, rate: float, seconds: float) -> Trial:
        if self._audience is None:
            self._audience = Audience(self._stage, self._members, PUBLISHERS, self._next)
        trial = self._audience.trial(rate, seconds)
        self.tried.append(trial)
        share = trial.spent.generator_share
        self._run.say(
            f"M2: {rate:,.0f} messages/s: p99 {trial.p99_ms:.0f} ms{'' if trial.complete else ', not all'};"
            f" {trial.per_cpu_second / 1e6:.1f} M deliveries a CPU-second, generator {share:.0%}"
        )
        if not trial.held:
            self.close()
        return trial

    def close(self) -> None:
        """Look whether all is in order, and let the audience go."""
        if self._audience is None:
            return
        for fault in self._audience.faults():
            self._run.fault("M2", fault)
        self._next = self._audience.next
        self._audience.close()
        self._audience = None


def measure(run: Run) -> list[Row]:
    """Search, then confirm: the figure is of two longer runs at the rate that the search found."""
    members = run.size(1000, 1000, 30)
    workload = f"room of {members:,}, {PUBLISHERS} publishers, highest rate with p99 ≤ {BOUND_MS:.0f} ms"
    run.say("M2: opening")
    with run.serve(Plan(members, [range(members)])) as stage:
        searcher = Searcher(run, stage, members)
        search = RateSearch(START, tolerance=0.1 if not run.quick else 0.3, trials=run.size(14, 9, 1))
        while (rate := search.next()) is not None:
            seconds = run.seconds(3.0, 1.5)
            # Once more before it counts against the server: another program's burst is enough to spoil a p99.
            search.record(rate, searcher.trial(rate, seconds).held or searcher.trial(rate, seconds).held)
        confirmed = _confirm(run, searcher, search.best, members) if search.best is not None else None
        searcher.close()
    if confirmed is None:
        lowest = min(searcher.tried, key=lambda trial: trial.rate)
        run.notes.append(
            f"M2 has no figure: no rate held. At {lowest.rate:,.0f} messages/s p99 was {lowest.p99_ms:.0f} ms."
            " Was the machine busy?"
        )
        return []
    return [_row(workload, *confirmed, searcher.tried)]


def _confirm(run: Run, searcher: Searcher, rate: float, members: int) -> tuple[list[Trial], list[float]] | None:
    """Server, floor, floor, server at the rate; a tenth lower each time that it does not hold for longer."""
    seconds = run.seconds(8.0, 3.0)
    for _ in range(CONFIRMATIONS):
        before = searcher.trial(rate, seconds)
        if before.held:
            size, rounds = round(before.frame_bytes), run.size(150, 50, 3)
            floors = [it for _ in range(2) if (it := run.floors.send_us(members, size, rounds)) is not None]
            after = searcher.trial(rate, seconds)
            if after.held:
                return [before, after], floors
        rate *= 0.9
    return None


def _row(workload: str, trials: list[Trial], floors: list[float], tried: list[Trial]) -> Row:
    value = mean([trial.per_cpu_second for trial in trials])
    floor = 1e6 / mean(floors) if floors else None
    last = trials[-1]
    share = last.spent.generator_share
    limit = "; the generator was the limit, not the server" if share > 0.9 > (last.spent.server_share or 0.0) else ""
    return Row(
        "M2", workload, value, "deliveries / server CPU-second", floor, ratio(value, floor), TARGET, "higher",
        note=f"{last.rate:,.0f} messages/s, p99 {last.p99_ms:.0f} ms{limit}",
        detail={
            "rate": last.rate, "p50_ms": last.p50_ms, "p99_ms": last.p99_ms, "bytes_per_entry": last.frame_bytes,
            "per_cpu_second": [trial.per_cpu_second for trial in trials], "floor_us": floors,
            "tried": [{"rate": it.rate, "p99_ms": it.p99_ms, "complete": it.complete} for it in tried],
            **shares(last.spent),
        },
    )  # fmt: skip
