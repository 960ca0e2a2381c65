"""What a reader sees of the figures."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

from rich.console import Console

from parley.bench import report
from parley.bench.machine import facts, file_system
from parley.bench.run import Row

COST = Row("M1", "room of 1,000", 6.5, "µs / delivery", 5.0, 1.3, 1.4)
RATE = Row("M4", "256 senders", 9000.0, "acks/s", 30000.0, 0.3, 0.4, "higher", note="p50 9 ms")
BARE = Row("M1", "room of 100", 8.0, "µs / delivery", target=1.4)


def test_a_target_is_met_on_its_own_side() -> None:
    """A cost must be low and a rate high; without a ratio nothing is said."""
    assert [row.met for row in (COST, RATE, BARE)] == [True, False, None]


def test_the_table_shows_value_floor_ratio_target_and_label() -> None:
    console = Console(file=StringIO(), width=100)
    console.print(report.table([COST, RATE, BARE]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]

    for part in ("M1 durable: room of 1,000", "6.50", "5.00", "1.30", "≤ 1.40", "yes", "9,000", "≥ 0.40", "p50 9 ms"):
        assert part in shown


def test_json_holds_all_that_was_measured() -> None:
    found = json.loads(report.as_json([RATE], {"cores": "2"}, ["M4: lost"], ["a note"]))

    assert found["rows"][0]["ratio"] == 0.3
    assert found["rows"][0]["met"] is False
    assert (found["machine"], found["faults"], found["notes"]) == ({"cores": "2"}, ["M4: lost"], ["a note"])


def test_what_people_wrote_stays_above_the_marker(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("# Benchmarks\n\nOurs.\n\n")

    report.put_into(page, report.as_markdown([COST], {}, [], []))
    report.put_into(page, report.as_markdown([RATE], {}, [], []))

    text = page.read_text()
    assert text.startswith("# Benchmarks\n\nOurs.\n\n<!--")
    assert text.count(report.BEGIN) == 1
    assert "256 senders" in text
    assert "room of 1,000" not in text


def test_facts_name_no_machine(tmp_path: Path) -> None:
    """A report is made to be shown."""
    shown = json.dumps(facts(tmp_path))

    assert str(tmp_path) not in shown
    assert file_system(Path("/proc")) == "proc"
