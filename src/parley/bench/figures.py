"""Arithmetic on what was measured."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def percentile(values: Collection[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all do not exceed. `values` must not be empty."""
    ordered = sorted(values)
    return ordered[max(0, -(-round(len(ordered) * share * 1e6) // 1_000_000) - 1)]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def gaps(seqs: Iterable[int]) -> list[str]:
    """What is wrong with seqs that should each be the one before plus one; empty if nothing is."""
    wrong = []
    last: int | None = None
    for seq in seqs:
        if last is not None and seq != last + 1:
            wrong.append(f"{seq} after {last}")
        last = seq
    return wrong
