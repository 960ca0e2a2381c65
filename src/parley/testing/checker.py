"""Hold what clients saw against what the store kept, and stop at the first promise that was broken.

    python -m parley.testing.checker HISTORY… --store parley.db [--min-acks 1000] [--min-in-flight 10]

Reads only histories and the store; shares no code with the server. The invariants are those of the integrity page:

I1  every acknowledged id is in the log, at the acknowledged seq, with the same body
I2  each (actor, client_id) at most once
I3  seq is dense from 1; an entry never changes its content, except to be emptied
I4  what a client received is contiguous, and complete for its time as a member
I5  nothing is shown twice
I6  the send order of a connection is kept
I7  no phantom, and nothing to a non-member
I8  the first new ack comes soon after a fault ends
ran the test exercised what it claims to have tested
"""

from __future__ import annotations

import argparse
import sys
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path

from parley.testing import history as seen
from parley.testing.history import AnyEvent, read_history
from parley.testing.reader import Reader
from parley.testing.sender import Sender
from parley.testing.store_log import SqliteLog, StoreLog
from parley.testing.truth import Breach, Truth, breach, read_store


@dataclass(frozen=True, slots=True)
class Demands:
    """What the test must have exercised to count, beside the invariants."""

    min_acks: int = 0
    min_in_flight: int = 0
    """Sends without an answer at the moments of the faults, together."""
    min_faults_hit: float = 0.0
    """The share of faults that found at least one send without an answer."""
    recover_s: float | None = None
    """How soon after a fault has healed the first new ack must come."""


@dataclass(slots=True)
class Figures:
    """What was checked, for the report."""

    clients: int = 0
    conversations: int = 0
    entries: int = 0
    sends: int = 0
    acks: int = 0
    refusals: int = 0
    duplicates: int = 0
    received: int = 0
    resets: int = 0
    faults: int = 0
    faults_hit: int = 0
    in_flight_at_faults: int = 0
    slowest_recovery_s: float = 0.0


@dataclass(slots=True)
class Clocked:
    """When things happened, over all histories."""

    sent: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    acked: list[float] = field(default_factory=list)
    faults: list[float] = field(default_factory=list)
    healed: list[float] = field(default_factory=list)


def check(histories: Iterable[Iterable[AnyEvent]], store: StoreLog, demands: Demands | None = None) -> Figures:
    """Return the figures if every promise was kept; raise `Breach` at the first that was not."""
    truth = read_store(store)
    figures = Figures(conversations=len(truth.heads), entries=len(truth.log))
    clocked = Clocked()
    bodies: dict[str, dict[str, str | None]] = {}
    for events in histories:
        sender = check_history(events, truth, figures, clocked)
        if sender.user:
            bodies.setdefault(sender.user, {}).update(sender.bodies)
    check_phantoms(truth, bodies)
    check_ran(figures, clocked, demands or Demands())
    return figures


def check_history(events: Iterable[AnyEvent], truth: Truth, figures: Figures, clocked: Clocked) -> Sender:
    reader, sender = Reader("", truth), Sender("", truth)
    open_sends: set[str] = set()
    figures.clients += 1

    def answered(client_id: str, at: float) -> None:
        if client_id in open_sends:
            open_sends.remove(client_id)
            clocked.answered.append(at)

    for event in events:
        reader.name = sender.name = event.client
        match event:
            case seen.Connected():
                sender.connected(event)
                reader.connected(event)
            case seen.Sent(client_id=client_id, time=at):
                sender.sent(event)
                figures.sends += 1
                if client_id not in open_sends:
                    open_sends.add(client_id)
                    clocked.sent.append(at)
            case seen.Acked(client_id=client_id, time=at):
                sender.acked(event)
                figures.acks += 1
                figures.duplicates += event.duplicate
                clocked.acked.append(at)
                answered(client_id, at)
            case seen.Refused(client_id=client_id, time=at):
                sender.refused(event)
                figures.refusals += 1
                answered(client_id, at)
            case seen.Received():
                figures.received += 1
                reader.received(event)
            case seen.Resumed():
                reader.resumed(event)
            case seen.Live():
                reader.live(event)
            case seen.Reset():
                figures.resets += len(event.heads)
                reader.reset(event)
            case seen.Finished():
                reader.finished(event)
            case seen.Disconnected(time=at):
                clocked.answered.extend(at for _ in open_sends)
                open_sends.clear()
            case seen.Fault(time=at):
                clocked.faults.append(at)
            case seen.Healed(time=at):
                clocked.healed.append(at)
            case seen.Gone():
                pass
    sender.check_order()
    clocked.answered.extend(inf for _ in open_sends)
    return sender


def check_phantoms(truth: Truth, bodies: dict[str, dict[str, str | None]]) -> None:
    """Of the users whose clients all wrote histories, the store has no message that they did not send. I7."""
    for (user, client_id), entry in truth.by_client_id.items():
        if user not in bodies or entry.kind != "message.created" or entry.seq is None:
            continue
        where = f"conversation {entry.conversation} seq {entry.seq}"
        if client_id not in bodies[user]:
            breach("I7", f"{where} is a phantom: user {user} never sent {client_id}")
        if not truth.same_body(entry, bodies[user][client_id]):
            breach("I1", f"{where} has another body than user {user} sent as {client_id}")


def check_ran(figures: Figures, clocked: Clocked, demands: Demands) -> None:
    """A test in which nothing was under way proves nothing. Also I8."""
    clocked.sent.sort()
    clocked.answered.sort()
    clocked.acked.sort()
    for moment in clocked.faults:
        in_flight = bisect_right(clocked.sent, moment) - bisect_right(clocked.answered, moment)
        figures.faults += 1
        figures.faults_hit += in_flight > 0
        figures.in_flight_at_faults += in_flight
    for moment in clocked.healed:
        next_ack = bisect_right(clocked.acked, moment)
        waited = clocked.acked[next_ack] - moment if next_ack < len(clocked.acked) else inf
        figures.slowest_recovery_s = max(figures.slowest_recovery_s, waited)
    if demands.recover_s is not None and figures.slowest_recovery_s > demands.recover_s:
        breach("I8", f"the first ack came {figures.slowest_recovery_s:.2f} s after a fault ended")
    if figures.acks < demands.min_acks:
        breach("ran", f"{figures.acks} acks, at least {demands.min_acks} were wanted")
    if figures.in_flight_at_faults < demands.min_in_flight:
        breach(
            "ran",
            f"{figures.in_flight_at_faults} sends in flight at faults, at least {demands.min_in_flight} were wanted",
        )
    if figures.faults_hit < demands.min_faults_hit * figures.faults:
        breach("ran", f"{figures.faults_hit} of {figures.faults} faults found a send in flight")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m parley.testing.checker", description=__doc__.splitlines()[0])
    parser.add_argument("histories", nargs="+", type=Path, metavar="HISTORY")
    parser.add_argument("--store", required=True, type=Path, help="the server's SQLite file")
    parser.add_argument("--min-acks", type=int, default=0)
    parser.add_argument("--min-in-flight", type=int, default=0)
    parser.add_argument("--min-faults-hit", type=float, default=0.0)
    parser.add_argument("--recover-s", type=float)
    options = vars(parser.parse_args(arguments))
    histories = [read_history(path) for path in options.pop("histories")]
    store = SqliteLog(options.pop("store"))
    try:
        figures = check(histories, store, Demands(**options))
    except Breach as found:
        sys.stderr.write(f"BREACH {found}\n")
        return 1
    sys.stdout.write(" ".join(f"{name}={value}" for name, value in asdict(figures).items()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
