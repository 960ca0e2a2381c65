"""M4: how many messages are stored and acknowledged, when each sender waits for its ack before it goes on."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

from parley.bench.crowd import Client, Crowd
from parley.bench.ears import AnswerEar, Ear
from parley.bench.figures import gaps, mean, percentile
from parley.bench.opening import open_crowd
from parley.bench.process import Spent, Stopwatch
from parley.bench.run import TEXT, Row, Run, ratio, shares
from parley.bench.seed import Plan
from parley.bench.stage import Stage
from parley.bench.wire import Frame, Messages

SENDERS = (1, 16, 256, 1000)
ROOMS = 64
TARGET = 0.4
TARGET_COMMITS = 1 / 50
JUDGED = (256, 1000)
LONGEST = 90.0
"""Seconds after which a run sends nothing more, however many messages are left."""
PATIENCE = 10.0
"""For the acks that are missing then."""


class Senders:
    """A closed loop: each client keeps one message unacknowledged, until as many were sent as `go` was told."""

    def __init__(self, stage: Stage, crowd: Crowd, rooms: int) -> None:
        """Client i writes to room i mod `rooms`; the first of each room reads what all of them hear there."""
        self.crowd = crowd
        self.sent = 0
        self.acked = 0
        self.limited = 0
        """How often the server said that a sender was too fast."""
        self.took_ms: list[float] = []
        self._limit = 0
        self._seqs: dict[str, list[int]] = defaultdict(list)
        self._begun = [0.0] * len(crowd.clients)
        self._refusals = [0] * len(crowd.clients)
        self._again: list[tuple[float, Client, int]] = []
        self._messages = [Messages(stage.rooms[it.number % rooms], TEXT, stage.salt) for it in crowd.clients]
        self._readers = [Ear(it, None, self._acked, self._refused) for it in crowd.clients[:rooms]]
        self._others = [AnswerEar(it, None, self._acked, self._refused) for it in crowd.clients[rooms:]]

    def go(self, count: int) -> bool:
        """Send `count` more and wait for their acks. False if that took too long."""
        self._limit = self.sent + count
        end = time.perf_counter() + LONGEST
        for client in self.crowd.clients:
            self._next(client)
        while self.acked < self._limit and not self.crowd.closed:
            self.crowd.drain(0.5 if not self._again else 0.005)
            now = time.perf_counter()
            if self._again:
                self._send_again(now)
            if now > end:
                self._limit = self.sent
            if now > end + PATIENCE:
                break
        return self.acked == self.sent

    def _next(self, client: Client) -> None:
        if self.sent < self._limit:
            self.sent += 1
            self._begun[client.number] = time.perf_counter()
            client.send(self._messages[client.number].frame(self.sent))

    def _acked(self, client: Client, frame: Frame) -> None:
        self.acked += 1
        self._refusals[client.number] = 0
        self.took_ms.append((time.perf_counter() - self._begun[client.number]) * 1e3)
        self._seqs[frame.payload.conversation_id].append(frame.payload.seq)
        self._next(client)

    def _refused(self, client: Client, frame: Frame) -> None:
        """A running server's limits: it says when to come again; whoever is refused once more waits twice as long."""
        refusals = self._refusals[client.number] = self._refusals[client.number] + 1
        wait = (frame.payload.retry_after_ms or 100) / 1000 * 2 ** min(refusals - 1, 6)
        self.limited += 1
        self._again.append((time.perf_counter() + wait, client, int(frame.id or 0)))

    def _send_again(self, now: float) -> None:
        ready = [it for it in self._again if it[0] <= now]
        self._again = [it for it in self._again if it[0] > now]
        for _, client, number in ready:
            client.send(self._messages[client.number].frame(number))

    def faults(self) -> list[str]:
        """Afterwards: every ack's seq once, without a hole, and heard by the room's reader."""
        self.crowd.settle()
        wrong = [it for ear in (*self._readers, *self._others) for it in ear.wrong]
        wrong += [it for ear in (*self._readers, *self._others) for it in ear.errors if it != "rate_limited"]
        if self.crowd.closed:
            wrong.append(f"{self.crowd.closed} clients were closed")
        if self.acked != self.sent:
            wrong.append(f"{self.sent} sent, {self.acked} acknowledged")
        heard: dict[str, int] = {}
        for ear in self._readers:
            heard.update(ear.heads)
        # The same frames go to all of a room, so its others must have got what its reader read.
        rooms = len(self._readers)
        odd = sum(ear.log_bytes != self._readers[at % rooms].log_bytes for at, ear in enumerate(self._others))
        if odd:
            wrong.append(f"{odd} clients did not get the bytes that their room's reader got")
        for room, seqs in self._seqs.items():
            seqs.sort()
            wrong += [f"acks of {room}: {it}" for it in gaps(seqs)[:3]]
            if heard.get(room) != seqs[-1]:
                wrong.append(f"{room}: acknowledged up to {seqs[-1]}, heard up to {heard.get(room)}")
        return wrong


def plan(senders: int, preloaded: int) -> Plan:
    """Sender i writes to room i mod 64 and is a member of no other."""
    return Plan(senders, [range(room, senders, ROOMS) for room in range(ROOMS)], preloaded, TEXT)


def commits(before: dict[str, float], after: dict[str, float]) -> float | None:
    """Transactions of the log in between, by the server's own count."""
    name = "parley_batch_size_count"
    return after[name] - before.get(name, 0.0) if name in after else None


def measure(run: Run, senders: int) -> list[Row]:
    """One number of senders, on a database of its own."""
    total = run.size(100_000, 10_000 if senders > 1 else 3_000, 300)
    preloaded = run.size(100_000, 20_000, 500)
    seconds = run.seconds(3.0, 1.0)
    workload = f"{senders:,} sender{'s' if senders > 1 else ''}, {total:,} messages after {preloaded:,}"
    run.say(f"M4 {workload}: filling the database")
    with run.serve(plan(senders, preloaded)) as stage, open_crowd(stage, senders) as crowd:
        crowd.settle()
        loop = Senders(stage, crowd, ROOMS)
        loop.go(min(total // 10, 20 * senders))
        loop.took_ms.clear()
        run.say(f"M4 {workload}: floor")
        floors = [run.floors.durable(stage.row_bytes, senders, seconds).rows_per_s]
        run.say(f"M4 {workload}: server")
        begun, acked, watch = stage.figures(), loop.acked, Stopwatch(stage.pid)
        ok = loop.go(total)
        spent, acked = watch.read(), loop.acked - acked
        committed = commits(begun, stage.figures())
        run.say(f"M4 {workload}: floor again")
        floors.append(run.floors.durable(stage.row_bytes, senders, seconds).rows_per_s)
        faults = loop.faults()
    for fault in faults:
        run.fault("M4", f"{workload}: {fault}")
    if not ok or not loop.took_ms:
        return []
    rate = acked / spent.wall
    run.known[f"acks/s at {senders}"] = rate
    return _rows(loop, workload, senders, rate, floors, spent, committed and committed / acked)


def _rows(
    loop: Senders,
    workload: str,
    senders: int,
    rate: float,
    floors: Sequence[float],
    spent: Spent,
    per_ack: float | None,
) -> list[Row]:
    judged = senders in JUDGED
    floor = mean(floors)
    cost = (spent.server or 0.0) * 1e6 / (rate * spent.wall)
    p50, p99 = percentile(loop.took_ms, 0.5), percentile(loop.took_ms, 0.99)
    rows = [
        Row(
            "M4", workload, rate, "acks/s", floor, ratio(rate, floor), TARGET if judged else None, "higher",
            note=f"p50 {p50:.1f} ms, p99 {p99:.1f} ms; {cost:.0f} µs server CPU an ack",
            detail={
                "floor_rows_per_s": list(floors), "p50_ms": p50, "p99_ms": p99, "server_cpu_us_per_ack": cost,
                **shares(spent),
            },
        )
    ]  # fmt: skip
    if per_ack is not None:
        target = TARGET_COMMITS if judged else None
        note = f"{1 / per_ack:.0f} messages a commit" if per_ack else ""
        rows.append(Row("M4", workload, per_ack, "commits / ack", None, per_ack, target, note=note))
    return rows


def measure_borrowed(run: Run, stage: Stage, senders: int) -> list[Row]:
    """At a running server: its limits hold, and its disk is not ours to measure, so there is no floor."""
    total = run.size(5_000, 1_000, 100)
    workload = f"{senders} socket{'s' if senders > 1 else ''} of one account, {total:,} messages"
    run.say(f"M4 {workload}")
    with open_crowd(stage, senders) as crowd:
        crowd.settle()
        # All of one account, and so all in every room: the first socket reads for all.
        loop = Senders(stage, crowd, 1)
        watch = Stopwatch(None)
        ok = loop.go(total)
        spent = watch.read()
        faults = loop.faults()
    for fault in faults:
        run.fault("M4", f"{workload}: {fault}")
    if not ok or not loop.took_ms:
        return []
    limited = f"; told {loop.limited} times to slow down: its limits were measured" if loop.limited else ""
    note = f"a running server, no floor; p50 {percentile(loop.took_ms, 0.5):.1f} ms{limited}"
    return [Row("M4", workload, loop.acked / spent.wall, "acks/s", note=note, better="higher")]
