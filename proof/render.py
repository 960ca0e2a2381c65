"""Write docs/proof.md from what has been measured, and from nothing else."""

from __future__ import annotations

from pathlib import Path

from proof.controls import CONTROLS
from proof.parts import PARTS, Part
from proof.record import Record, load

CLAIM = (
    "An acknowledged message survives kill -9, an operating system crash and power loss, if the disk honours "
    "fdatasync. In a cluster: while the database keeps its commits. Redis and Kafka may be lost entirely. Delivery is "
    "without gap or double per conversation while its epoch holds; when it cannot be, the client is told."
)
NOT_CLAIMED = "lying disks, loss of the only disk, order between conversations, availability while the database is down"

METHOD = (
    "This page is written by `make proof` from its measurements. Where a row has clients, each wrote what it sent,",
    "what was acknowledged and what it received, outside the server's disk, and a checker held all of it against the",
    "store: lost 0, doubled 0, gaps 0, or the row says where it broke. `parley.testing.checker` names the invariants.",
)


def render(folder: Path) -> str:
    records = {part.name: load(folder, part.name) for part in PARTS}
    lines = [
        "# Proof",
        "",
        f"> {CLAIM}",
        "",
        f"Not claimed: {NOT_CLAIMED}.",
        "",
        *METHOD,
        "",
        "| | fault | done | of | acknowledged | in flight at faults | slowest recovery | verdict |",
        "|---|---|---:|---:|---:|---:|---:|---|",
        *(row(part, records[part.name]) for part in PARTS),
        "",
        "Recovery is from the end of the fault to the first new ack; where a process had to start, its start is in it.",
        "",
        *details(records),
        "## Not measured yet",
        "",
        *(f"- {part.name}: {part.open}" for part in PARTS if part.open),
        "",
        "## Negative controls",
        "",
        f"For each of these {len(CONTROLS)} a test breaks it on purpose, and fails unless the breach is noticed.",
        "",
        "| sabotage | caught by |",
        "|---|---|",
        *(f"| {what} | `{test}` |" for what, test in CONTROLS),
    ]
    return "\n".join(lines) + "\n"


def row(part: Part, record: Record | None) -> str:
    if record is None:
        return f"| {part.name} | {part.fault} | 0 | {part.full:,} | | | | not run |"
    total = record.totals()
    recovery = total.get("slowest_recovery_s", 0.0) + total.get("slowest_start_s", 0.0)
    return (
        f"| {part.name} | {part.fault} | {record.count:,} | {part.full:,} | {shown(total.get('acks'))} "
        f"| {shown(total.get('in_flight_at_faults'))} | {f'{recovery:.2f} s' if recovery else ''} "
        f"| {verdict(part, record)} |"
    )


def shown(number: float | None) -> str:
    return "" if not number else f"{number:,.0f}"


def verdict(part: Part, record: Record) -> str:
    if record.breach is not None:
        return f"**broken**: {record.breach}"
    if not record.chunks:
        return "not run"
    failed = [what for what, passes in part.passes.items() if not passes(record.totals())]
    if failed:
        return f"**missed**: {'; '.join(failed)}"
    return "kept" if record.count >= part.full else "kept so far"


def details(records: dict[str, Record | None]) -> list[str]:
    lines = ["## Runs", ""]
    for part in PARTS:
        record = records[part.name]
        if record is None or not record.chunks:
            continue
        figures = ", ".join(f"{name} {value:,.4g}" for name, value in record.totals().items() if value)
        minutes = sum(chunk.seconds for chunk in record.chunks) / 60
        run = f"Version {record.version}, seed {record.seed}, {len(record.chunks)} chunks, {minutes:.0f} min"
        lines += [f"**{part.name}** ({'; '.join(part.passes)}). {run}, {record.machine}.", "", figures + ".", ""]
    return lines
