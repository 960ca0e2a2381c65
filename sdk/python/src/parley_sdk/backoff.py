"""Exponential with full jitter, so that clients that were cut off together do not come back together."""

import random


class Backoff:
    def __init__(self, first_s: float, most_s: float) -> None:
        self._first = first_s
        self._most = most_s
        self._tries = 0

    def reset(self) -> None:
        self._tries = 0

    def next(self) -> float:
        """Seconds to wait before the next try: anything up to the bound, which doubles each time."""
        bound = min(self._most, self._first * 2 ** min(self._tries, 30))
        self._tries += 1
        return random.uniform(0, bound)
