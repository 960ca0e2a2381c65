"""What has been measured so far: one JSON file a part, written after every chunk, so that a run can end and go on."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import parley

ROOT = Path(__file__).resolve().parents[1]


@dataclass(slots=True)
class Chunk:
    seed: int
    count: int
    seconds: float
    at: str
    totals: dict[str, float]


@dataclass(slots=True)
class Record:
    """The chunks of one part that kept every promise, or the breach at which it stopped."""

    part: str
    version: str
    seed: int
    machine: str
    chunks: list[Chunk] = field(default_factory=list)
    breach: str | None = None

    @property
    def count(self) -> int:
        return sum(chunk.count for chunk in self.chunks)

    def totals(self) -> dict[str, float]:
        """Sums over the chunks; of durations the worst."""
        totals: dict[str, float] = {}
        for chunk in self.chunks:
            for name, value in chunk.totals.items():
                is_duration = name.endswith("_s")
                totals[name] = max(totals.get(name, 0), value) if is_duration else totals.get(name, 0) + value
        return totals

    def add(self, seed: int, count: int, seconds: float, totals: Mapping[str, float]) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.chunks.append(Chunk(seed, count, round(seconds, 1), now, dict(totals)))


def version() -> str:
    """The released version and the commit; `+` after it means that the tree had changes which are not in the commit."""
    commit = git("rev-parse", "--short=12", "HEAD")
    changed = "+" if git("status", "--porcelain", "--", "src", "proof") else ""
    return f"{parley.__version__} ({commit}{changed})"


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def machine() -> str:
    return (
        f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def load(folder: Path, part: str) -> Record | None:
    path = folder / f"{part}.json"
    if not path.exists():
        return None
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for derived in ("count", "totals"):
        del kept[derived]
    return Record(**kept | {"chunks": [Chunk(**chunk) for chunk in kept["chunks"]]})


def save(folder: Path, record: Record) -> None:
    """Whole or not at all: a run that is cut off here keeps what it had."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{record.part}.json.new"
    summary = asdict(record) | {"count": record.count, "totals": record.totals()}
    fresh.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    fresh.replace(folder / f"{record.part}.json")
