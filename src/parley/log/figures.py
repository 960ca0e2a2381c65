"""What a log counts, as far as it needs to know."""

from dataclasses import dataclass
from typing import Protocol


class Histogram(Protocol):
    def observe(self, amount: float) -> None: ...


class Gauge(Protocol):
    def set(self, value: float) -> None: ...


class Count(Protocol):
    def inc(self, amount: float = 1) -> None: ...


class BatchMetrics(Protocol):
    @property
    def batch_size(self) -> Histogram: ...
    @property
    def batch_seconds(self) -> Histogram: ...


@dataclass(frozen=True)
class AppenderMetrics:
    """`lag`: records of its partitions that it has not appended. `poison`: records set aside."""

    lag: Gauge
    poison: Count
