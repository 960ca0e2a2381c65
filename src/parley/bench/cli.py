"""The command line of `parley bench`: which measures, of which server, told how."""

from __future__ import annotations

import gc
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from parley.bench import fanout_capacity, fanout_cost, idle, ingest, ingest_shared, latency, machine, report, two_nodes
from parley.bench.floors import Floors
from parley.bench.opening import CouldNotOpen
from parley.bench.process import choose_cores, raise_file_limit
from parley.bench.run import Number, Row, Run
from parley.bench.stage import CannotBorrow, borrowed
from parley.testing.server import ServerDied

ALL: tuple[Number, ...] = get_args(Number)
BORROWABLE: tuple[Number, ...] = ("M4", "M5")
SOCKETS = 32
"""Of one account at a running server: under the default limit of 50."""

QUIET_ENOUGH = 0.05
"""Of all cores, that others may take before a reader is told."""

Step = tuple[Number, str, Callable[[Run], list[Row]]]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main(args: Sequence[str]) -> None:
    """Raises SystemExit: 0 whatever the figures are, 1 if anything was lost, doubled, out of order or did not run."""
    app(args=list(args), prog_name="parley bench")


@app.command()
def bench(
    only: Annotated[str, typer.Option(help=f"Measures, with commas between: {', '.join(ALL)}. Empty: all.")] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer messages and shorter runs: a look, not a figure.")
    ] = False,
    url: Annotated[
        str, typer.Option(help="A server that runs already (http://…). M4 and M5 only, and without floors.")
    ] = "",
    username: Annotated[str, typer.Option(help="Account to use at --url.")] = "",
    password: Annotated[
        str, typer.Option(envvar="PARLEY_BENCH_PASSWORD", help="Its password; better in the environment.")
    ] = "",
    json: Annotated[Path | None, typer.Option(help="Write everything measured to this file.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Put the table into this page, such as docs/benchmarks.md.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="On the disk to measure; a folder is made in it. Else the temporary one."),
    ] = None,
    tiny: Annotated[bool, typer.Option("--tiny", hidden=True, help="Only whether it runs.")] = False,
) -> None:
    """Measure this machine with a server of its own, as multiples of what the machine itself costs.

    The server runs on one core and the load generator on another; floors run on the server's core, before and after.
    """
    wanted = _wanted(only, BORROWABLE if url else ALL)
    console = Console(soft_wrap=False)
    work = Path(tempfile.mkdtemp(prefix="parley-bench-", dir=folder))
    try:
        rows, run = _measure(
            wanted, work, console, quick=quick or tiny, tiny=tiny, url=url, account=(username, password)
        )
        facts, notes = machine.facts(work), _notes(run, rows, work, url)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    console.print(report.table(rows))
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()), highlight=False)
    for note in notes:
        console.print(note, highlight=False)
    for fault in run.faults:
        console.print(f"FAULT {fault}", style="red", highlight=False)
    if json is not None:
        json.write_bytes(report.as_json(rows, facts, run.faults, notes))
    if markdown is not None:
        report.put_into(markdown, report.as_markdown(rows, facts, run.faults, notes))
    raise typer.Exit(1 if run.faults else 0)


def _wanted(only: str, possible: tuple[Number, ...]) -> list[Number]:
    asked = [it.strip().upper() for it in only.split(",") if it.strip()] or list(possible)
    wrong = [it for it in asked if it not in possible]
    if wrong:
        raise typer.BadParameter(f"{', '.join(wrong)}: possible here are {', '.join(possible)}", param_hint="--only")
    return [it for it in possible if it in asked]


def _measure(
    wanted: list[Number], work: Path, console: Console, *, quick: bool, tiny: bool, url: str, account: tuple[str, str]
) -> tuple[list[Row], Run]:
    if not sys.platform.startswith("linux"):
        console.print("parley bench needs Linux: it pins processes to cores and reads /proc")
        raise typer.Exit(1)
    raise_file_limit()
    cores = choose_cores()
    floors = Floors(work, cores)
    rows: list[Row] = []
    columns = (TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
    # No thread that draws by itself: it would take the generator's core.
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def say(text: str) -> None:
            progress.update(task, description=text, refresh=True)

        run = Run(cores, floors, work, quick, say, tiny=tiny)
        floors.prepare()
        steps = _borrowed_steps(run, wanted, url, account) if url else _own_steps(run, wanted)
        progress.update(task, total=len(steps))
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {cores.generator})
        try:
            for number, name, step in steps:
                _one(run, rows, number, name, step)
                progress.advance(task)
        finally:
            os.sched_setaffinity(0, before)
    return rows, run


def _one(run: Run, rows: list[Row], number: Number, name: str, step: Callable[[Run], list[Row]]) -> None:
    """A measure that breaks does not keep the others from running."""
    gc.collect()
    gc.disable()
    try:
        rows += step(run)
    except (ServerDied, CouldNotOpen, CannotBorrow) as error:
        run.fault(number, f"{name}: {error}")
    finally:
        gc.enable()


def _own_steps(run: Run, wanted: list[Number]) -> list[Step]:
    rooms = (20,) if run.tiny else (100, 1000) if run.quick else fanout_cost.ROOMS
    senders = (1, 8) if run.tiny else ingest.SENDERS
    steps: list[Step] = []
    steps += [("M1", f"room of {n}", partial(fanout_cost.measure, members=n)) for n in rooms]
    steps.append(("M2", "capacity", fanout_capacity.measure))
    steps += [("M4", f"{n} senders", partial(ingest.measure, senders=n)) for n in senders]
    steps += [("M4", f"PostgreSQL, {log}", partial(ingest_shared.measure, log=log)) for log in ("direct", "kafka")]
    steps.append(("M5", "latency", latency.measure))
    steps.append(("M6", "memory", idle.measure))
    steps.append(("M10", "two nodes", two_nodes.measure))
    return [step for step in steps if step[0] in wanted]


def _borrowed_steps(run: Run, wanted: list[Number], url: str, account: tuple[str, str]) -> list[Step]:
    try:
        stage = borrowed(url, *account, sockets=SOCKETS, rooms=1, salt=secrets.randbits(26))
    except CannotBorrow as error:
        for number in wanted:
            run.fault(number, str(error))
        return []
    steps: list[Step] = [
        ("M4", f"{n} sockets", partial(ingest.measure_borrowed, stage=stage, senders=n)) for n in (1, 16, SOCKETS)
    ]
    steps.append(("M5", "latency", partial(latency.measure_borrowed, stage=stage)))
    return [step for step in steps if step[0] in wanted]


def _notes(run: Run, rows: list[Row], work: Path, url: str) -> list[str]:
    notes = [*run.notes]
    others = max((float(row.detail.get("others_share", 0.0)) for row in rows), default=0.0)
    if others > QUIET_ENOUGH and not url:
        notes.append(
            f"Other programs took up to {others:.0%} of the machine meanwhile: rates and latencies are worse than real,"
            " and ratios to floors of another minute mean little."
        )
    if url:
        notes.append(
            "A running server was measured from outside, by one account's sockets, within its limits, the network"
            " included: its CPU, memory and disk are not ours to read, so M1, M2, M6 and all floors are left out."
        )
    if run.floors.missing and not url:
        notes.append(run.floors.missing)
    if machine.file_system(work) in machine.MEMORY_ONLY:
        notes.append(
            "The data lay in memory, where syncing costs nothing: durable figures mean little. --dir chooses a disk."
        )
    if run.cores.server == run.cores.generator:
        notes.append(
            "Only one core: server and generator took it from each other, so rates are too low and latencies too high."
        )
    if run.quick:
        notes.append("A quick run: few messages, and so more noise.")
    return notes


__all__ = ["app", "main"]
