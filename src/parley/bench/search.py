"""The search for the highest rate that holds: up by a factor until one does not, then halving in between."""

from __future__ import annotations


class RateSearch:
    """`while (rate := search.next()) is not None: search.record(rate, held)`; then `best` is the answer.

    Ends when the bounds are within `tolerance` of each other, after `trials` rates, or at `highest`.
    """

    def __init__(
        self, start: float, *, factor: float = 2.0, tolerance: float = 0.1, trials: int = 14, highest: float = 1e6
    ) -> None:
        self._rate = start
        self._factor = factor
        self._tolerance = tolerance
        self._left = trials
        self._highest = highest
        self.best: float | None = None
        self._failed: float | None = None

    def next(self) -> float | None:
        """The rate to try, None at the end."""
        if self._left <= 0:
            return None
        low, high = self.best, self._failed
        if low is not None and high is not None and high <= low * (1 + self._tolerance):
            return None
        if low is not None and low >= self._highest:
            return None
        return self._rate

    def record(self, rate: float, held: bool) -> None:
        self._left -= 1
        if held:
            self.best = max(rate, self.best or 0.0)
        else:
            self._failed = min(rate, self._failed or rate)
        low, high = self.best, self._failed
        if high is None:
            assert low is not None
            self._rate = min(low * self._factor, self._highest)
        elif low is None:
            self._rate = high / self._factor
        else:
            self._rate = (low * high) ** 0.5
