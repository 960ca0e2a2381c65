"""The page of proof names its negative controls; each of them must be a test that exists."""

from pathlib import Path

import pytest
from proof.controls import CONTROLS
from proof.parts import PARTS
from proof.record import Record, load, save
from proof.render import CLAIM, render

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("test", [test for _, test in CONTROLS])
def test_every_negative_control_is_a_test(test: str) -> None:
    path, name = test.split("::")

    assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def test_there_are_at_least_twenty_negative_controls() -> None:
    assert len({test for _, test in CONTROLS}) >= 20


def test_the_page_says_what_was_measured_and_what_was_not(tmp_path: Path) -> None:
    record = Record("R12", "0.1.0 (abc)", seed=7, machine="a machine")
    record.add(7, 20, 61.0, {"rounds": 20, "acks": 1234, "p99_s": 0.5})
    record.add(8, 20, 61.0, {"rounds": 20, "acks": 1000, "p99_s": 1.5})
    save(tmp_path, record)

    page = render(tmp_path)

    assert CLAIM in page
    assert "| R12 | rolling restarts by SIGTERM under load | 40 | 300 | 2,234 |" in page
    assert "kept so far" in page
    assert page.count("not run") == len(PARTS) - 1


def test_a_record_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    record = Record("R1", "0.1.0 (abc)", seed=7, machine="a machine", breach="I1: lost")
    record.add(7, 20, 61.0, {"acks": 5})
    save(tmp_path, record)

    assert load(tmp_path, "R1") == record


def test_a_broken_promise_and_a_missed_figure_are_said_loudly(tmp_path: Path) -> None:
    broken = Record("R1", "0.1.0 (abc)", seed=7, machine="a machine", breach="I1: c4 is lost")
    missed = Record("R12", "0.1.0 (abc)", seed=7, machine="a machine")
    missed.add(7, 300, 61.0, {"p99_s": 2.5})
    for record in (broken, missed):
        save(tmp_path, record)

    page = render(tmp_path)

    assert "**broken**: I1: c4 is lost" in page
    assert "**missed**: send to ack p99 at most 2 s" in page
