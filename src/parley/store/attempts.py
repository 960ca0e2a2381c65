"""Trying a transaction again, on engines that may be away for a moment or have another node in the way.

A transaction that was surely rolled back is simply run again. Of one whose connection was lost during its COMMIT nobody
knows; the next run finds out before it does anything else, see `Doubt`.
"""

import random
import threading

import msgspec

from parley.clock import SystemClock
from parley.store.interface import BatchResult

TRIES = 12
SECONDS = 10.0
"""All tries together. Above what a database needs to come back after a crash there is no point in holding a batch."""
LONGEST_WAIT = 1.0

_clock = SystemClock()


class Patience:
    """How often and how long one transaction is tried. Waits, longer each time and never two nodes in step, between."""

    def __init__(self, tries: int = TRIES, seconds: float = SECONDS) -> None:
        self._left = tries
        self._wait = 0.001
        self._until = _clock.monotonic() + seconds
        self._nothing = threading.Event()

    def once_more(self) -> bool:
        """Wait; False: it has been enough."""
        self._left -= 1
        wait = self._wait * random.uniform(0.5, 1.0)
        if self._left <= 0 or _clock.monotonic() + wait > self._until:
            return False
        self._nothing.wait(wait)
        self._wait = min(self._wait * 3, LONGEST_WAIT)
        return True


class Doubt(msgspec.Struct):
    """A result whose COMMIT was lost on the way: in force if the entry `witness` is stored.

    To be asked under the locks of the batch's conversations: whoever holds those knows that the lost transaction has
    ended, one way or the other.
    """

    result: BatchResult
    witness: int | None
    """The first entry it wrote; None: it wrote none, and may be run again whatever became of it."""


class CommitLost(Exception):
    """Nobody knows whether it was committed."""

    def __init__(self, doubt: Doubt) -> None:
        super().__init__("the connection was lost during COMMIT")
        self.doubt = doubt


class WasCommitted(Exception):
    """The transaction in doubt is stored: its result stands."""
