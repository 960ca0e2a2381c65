"""M1: what a delivery costs the server when nothing can be joined: one message in flight, stored first."""

from __future__ import annotations

import time

from parley.bench.crowd import Crowd
from parley.bench.ears import Ear
from parley.bench.figures import mean, percentile
from parley.bench.opening import open_crowd
from parley.bench.process import Spent, Stopwatch
from parley.bench.run import TEXT, Row, Run, ratio, shares
from parley.bench.seed import Plan
from parley.bench.stage import Stage
from parley.bench.wire import Messages

TARGET = 1.4
PATIENCE = 10.0
ROOMS = (100, 1000, 5000)
DELIVERIES = 300_000
"""In both halves together: over a second of the server's CPU."""


class Rounds:
    """Sends one message, waits until every member has it, sends the next."""

    def __init__(self, stage: Stage, crowd: Crowd) -> None:
        self.sent = 0
        self.took_ms: list[float] = []
        self.spent: list[Spent] = []
        self._server = stage.pid
        self._crowd = crowd
        self._publisher = Ear(crowd.clients[0])
        self._reader = Ear(crowd.clients[-1])
        self._messages = Messages(stage.rooms[0], TEXT, stage.salt)
        self._counted = 0

    @property
    def frame_bytes(self) -> int:
        return round(self._reader.log_bytes / max(1, self._reader.entries))

    def block(self, rounds: int) -> bool:
        """So many rounds, their CPU noted. False if one was not heard by all in time."""
        watch = Stopwatch(self._server)
        for _ in range(rounds):
            self.sent += 1
            frame = self._messages.frame(self.sent)
            begin = time.perf_counter()
            self._publisher.client.send(frame)
            while not self._all_have():
                self._counted += self._crowd.drain(0.5)
                if time.perf_counter() - begin > PATIENCE:
                    return False
            self.took_ms.append((time.perf_counter() - begin) * 1e3)
        self.spent.append(watch.read())
        return True

    def _all_have(self) -> bool:
        publisher, reader = self._publisher, self._reader
        others = len(self._crowd.clients) - 2
        return (
            reader.entries == publisher.entries == publisher.acks == self.sent
            and self._counted >= others * reader.log_bytes
        )

    def faults(self) -> list[str]:
        """What was lost or doubled; afterwards, when all is quiet."""
        self._crowd.settle()
        publisher, reader = self._publisher, self._reader
        wrong = [*publisher.wrong, *reader.wrong, *publisher.errors]
        if self._crowd.closed:
            wrong.append(f"{self._crowd.closed} clients were closed")
        if reader.entries != self.sent or publisher.acks != self.sent or publisher.log_bytes != reader.log_bytes:
            wrong.append(f"{self.sent} sent, {publisher.acks} acknowledged, {reader.entries} heard")
        odd = sum(client.counted != reader.log_bytes for client in self._crowd.clients[1:-1])
        if odd:
            wrong.append(f"{odd} clients did not get the bytes that the reader got")
        return wrong


def measure(run: Run, members: int) -> list[Row]:
    """One room of so many."""
    workload = f"room of {members:,}, one in flight"
    half = max(10, DELIVERIES // 2 // members)
    half = run.size(half, max(10, half // 3), 3)
    run.say(f"M1 {workload}: opening")
    with run.serve(Plan(members, [range(members)])) as stage, open_crowd(stage, members) as crowd:
        crowd.settle()
        rounds = Rounds(stage, crowd)
        ok = rounds.block(min(half, 20))
        rounds.took_ms.clear()
        rounds.spent.clear()
        floors = []
        run.say(f"M1 {workload}: server")
        ok = ok and rounds.block(half)
        for _ in range(2):
            run.say(f"M1 {workload}: floor")
            floors.append(run.floors.send_us(members, rounds.frame_bytes, half))
        run.say(f"M1 {workload}: server again")
        ok = ok and rounds.block(half)
        faults = rounds.faults()
    if not ok:
        faults.append(f"a message was not with all {members} within {PATIENCE:.0f} s")
    for fault in faults:
        run.fault("M1", f"{workload}: {fault}")
    if not ok or len(rounds.spent) < 2:
        return []
    return [_row(rounds, workload, members, half, [it for it in floors if it is not None])]


def _row(rounds: Rounds, workload: str, members: int, half: int, floors: list[float]) -> Row:
    costs = [(it.server or 0.0) * 1e6 / (members * half) for it in rounds.spent]
    cost, floor = mean(costs), mean(floors) if floors else None
    return Row(
        "M1", workload, cost, "µs server CPU / delivery", floor, ratio(cost, floor), TARGET,
        note=f"{rounds.frame_bytes} B a frame; all have it after {percentile(rounds.took_ms, 0.5):.1f} ms (p50)",
        detail={
            "server_us": costs, "floor_us": floors, "rounds": 2 * half, "frame_bytes": rounds.frame_bytes,
            "round_p50_ms": percentile(rounds.took_ms, 0.5), "round_p99_ms": percentile(rounds.took_ms, 0.99),
            **shares(rounds.spent[-1]),
        },
    )  # fmt: skip
