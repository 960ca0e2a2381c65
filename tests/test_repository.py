"""The repository keeps its own promises: no registry addresses, short files, a CI that runs what people run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 450
# Files a tool writes, or that only ever grow by a decision of the schema: their length says nothing.
MAY_BE_LONG = ("src/parley/store/migrations/",)
# Names as pieces, so that this file does not hold what it forbids.
REGISTRIES = re.compile(
    r"https?://[\w.:@-]*(npm" r"js|npm" r"mirror|py" r"pi|python" r"hosted|art" r"ifactory|registry)[\w.-]*",
    re.IGNORECASE,
)


def tracked() -> list[Path]:
    """Every file of the checkout that is, or with the next `git add` would be, in the repository."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in sorted(set(done.stdout.split("\0"))) if name and (path := ROOT / name).is_file()]


def lines(files: list[Path]) -> Iterator[tuple[str, str]]:
    """Each line of the files that are text, after where it stands."""
    for file in files:
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            yield f"{file.relative_to(ROOT)}:{number}", line


def test_no_file_names_a_registry() -> None:
    """Where packages come from is the business of the machine that installs them."""
    assert [where for where, line in lines(tracked()) if REGISTRIES.search(line)] == []


def test_python_locks_hold_hashes_and_no_address() -> None:
    """Every locked package has a hash; no line says where to find it."""
    locks = [file for file in tracked() if re.fullmatch(r"requirements.*\.lock", file.name)]
    assert [file.name for file in locks] == ["requirements-dev.lock", "requirements.lock"]

    option_or_address = [(where, line.strip()) for where, line in lines(locks) if re.search(r"://|^\s*-", line)]
    assert [it for it in option_or_address if not it[1].startswith("--hash=sha256:")] == []
    for lock in locks:
        packages = re.findall(r"^[\w.-]+==.*(?:\n +--hash.*)*", lock.read_text(), re.MULTILINE)
        assert [package for package in packages if "--hash=sha256:" not in package] == []


def test_node_locks_hold_no_address() -> None:
    """`resolved` may name a folder beside us, never a server; every package from elsewhere has its hash."""
    for lock in (file for file in tracked() if file.name == "package-lock.json"):
        packages = json.loads(lock.read_text())["packages"]
        assert [name for name, package in packages.items() if "://" in package.get("resolved", "")] == []
        from_elsewhere = {name: it for name, it in packages.items() if "node_modules/" in name and not it.get("link")}
        assert [name for name, package in from_elsewhere.items() if "integrity" not in package] == []


def test_source_files_stay_short() -> None:
    """A file of the server has one idea; over this length it has two."""
    files = [file for file in tracked() if file.suffix == ".py" and file.is_relative_to(ROOT / "src")]
    counted = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files}
    assert {name: n for name, n in counted.items() if n > LONGEST and not name.startswith(MAY_BE_LONG)} == {}


def test_the_gate_runs_the_checks_and_the_tests() -> None:
    """.ci/run is a program, and runs what people run by hand."""
    gate = ROOT / ".ci" / "run"
    assert os.access(gate, os.X_OK)
    assert [line for line in gate.read_text().splitlines() if line.startswith("make ")] == ["make check", "make test"]


def test_no_tracked_file_is_executable_by_accident() -> None:
    """What can be run says how: it begins with #!."""
    runnable = [file for file in tracked() if os.access(file, os.X_OK)]
    assert [str(file.relative_to(ROOT)) for file in runnable if file.read_bytes()[:2] != b"#!"] == []
