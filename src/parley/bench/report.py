"""The rows as a table for the terminal, as JSON, and as the page of the documentation."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from parley.bench.run import Row

BEGIN = "<!-- figures: from here to the end made by `parley bench --markdown` -->"
HEADINGS = ("", "workload", "value", "floor", "ratio", "target", "met", "kept", "")


def number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:,.2f} M"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if value >= 0.1 or value == 0 else f"{value:.4f}"


def cells(row: Row) -> tuple[str, ...]:
    bound = "≤" if row.better == "lower" else "≥"
    met = {True: "yes", False: "no", None: "–"}[row.met]
    return (
        row.measure,
        row.workload,
        f"{number(row.value)} {row.unit}",
        number(row.floor),
        "–" if row.floor is None else number(row.ratio),
        "–" if row.target is None else f"{bound} {number(row.target)}",
        met,
        "durable" if row.durable else "ephemeral",
        row.note,
    )


def table(rows: Sequence[Row]) -> Table:
    """For a terminal: narrow, with what belongs to a workload under it."""
    made = Table(title="Ratios are to a floor measured in the same run", title_justify="left", show_lines=True)
    made.add_column("workload", ratio=1)
    for heading in HEADINGS[2:7]:
        made.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        measure, workload, value, *judged, kept, note = cells(row)
        made.add_row(
            f"{measure} {kept}: {workload}\n[dim]{row.unit}{'; ' if note else ''}{note}[/dim]",
            value.removesuffix(f" {row.unit}"),
            *judged,
        )
    return made


def as_json(rows: Sequence[Row], facts: Mapping[str, str], faults: Sequence[str], notes: Sequence[str]) -> bytes:
    found: dict[str, Any] = {
        "machine": dict(facts),
        "rows": [dataclasses.asdict(row) | {"met": row.met} for row in rows],
        "faults": list(faults),
        "notes": list(notes),
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"


def as_markdown(rows: Sequence[Row], facts: Mapping[str, str], faults: Sequence[str], notes: Sequence[str]) -> str:
    """The part of the page that is made, from its marker on."""
    lines = [BEGIN, "", "## Figures", ""]
    lines += ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells(row)) + " |" for row in rows]
    lines += ["", *(f"- {note}" for note in notes)]
    lines += ["", "Machine: " + ", ".join(f"{name} {value}" for name, value in facts.items()) + ".", ""]
    lines.append("Lost, doubled or out of order: " + ("nothing." if not faults else "; ".join(faults) + "."))
    return "\n".join(lines) + "\n"


def put_into(page: Path, made: str) -> None:
    """Replace what was made before; what people wrote above the marker stays."""
    written = page.read_text() if page.exists() else "# Benchmarks\n\n"
    above = re.split(re.escape(BEGIN), written, maxsplit=1)[0]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(above + made)
