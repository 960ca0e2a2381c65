"""What every measure is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from parley.bench.floors import Floors
from parley.bench.process import Cores, Spent
from parley.bench.seed import Plan
from parley.bench.stage import QUIET, Stage, own_server

TEXT = "x" * 128
"""What every message says."""

Number = Literal["M1", "M2", "M4", "M5", "M6", "M10"]
Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is what counts, and is None where its floor could not be measured."""

    measure: Number
    workload: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    target: float | None = None
    better: Better = "lower"
    durable: bool = True
    note: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none, or no ratio."""
        if self.ratio is None or self.target is None:
            return None
        return self.ratio <= self.target if self.better == "lower" else self.ratio >= self.target


@dataclass(slots=True)
class Run:
    """One run of the suite. A measure adds to `faults` what was lost, doubled or out of order: that is no figure."""

    cores: Cores
    floors: Floors
    folder: Path
    quick: bool
    say: Callable[[str], None]
    """Tell the person watching what goes on now."""
    borrow: Callable[[int, int], Stage] | None = None
    """With a running server: (sockets, rooms) -> stage."""
    tiny: bool = False
    """Counts so small that only errors mean anything: for tests."""
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader of the figures must know beside them."""
    known: dict[str, float] = field(default_factory=dict)
    """What a measure found that a later one builds on."""

    def serve(self, plan: Plan, settings: Mapping[str, str] = QUIET) -> AbstractContextManager[Stage]:
        return own_server(plan, self.cores, self.folder, settings)

    def size(self, full: int, quick: int, tiny: int) -> int:
        """A count, by how thorough this run is to be."""
        return tiny if self.tiny else quick if self.quick else full

    def seconds(self, full: float, quick: float, tiny: float = 0.2) -> float:
        return tiny if self.tiny else quick if self.quick else full

    def fault(self, measure: Number, text: str) -> None:
        self.faults.append(f"{measure}: {text}")


def shares(spent: Spent) -> dict[str, float | None]:
    """For a row's detail: how busy both cores were, so that a reader sees which one was the limit."""
    server = spent.server_share
    return {
        "server_core_share": None if server is None else round(server, 3),
        "generator_core_share": round(spent.generator_share, 3),
        "others_share": round(spent.others_share, 3),
    }


def ratio(value: float, floor: float | None) -> float | None:
    return value / floor if floor else None
