"""What a feed was told too early: entries behind a hole, for the short time that the one before them may need.

Entries of one conversation that different nodes committed come by different ways and cross. A hole is therefore no
loss yet; it is one when it lasts.
"""

import asyncio
from collections.abc import Sequence

from parley.protocol.events import Entry

HOLD_S = 0.03
"""How long a hole may last before the store is asked."""
HELD_ENTRIES = 1_000
HELD_BYTES = 1 << 20
"""Past either, what is held is dropped: the store has it all."""


class Hold:
    """One feed's. Empty and without a timer as long as there is no hole."""

    __slots__ = ("_bytes", "_entries", "timer")

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._bytes = 0
        self.timer: asyncio.TimerHandle | None = None
        """Runs out when the hole has lasted too long."""

    def __bool__(self) -> bool:
        return bool(self._entries)

    def put(self, entries: Sequence[Entry]) -> bool:
        """False: they are too many, and nothing is held any more."""
        for entry in entries:
            if entry.seq not in self._entries:
                self._entries[entry.seq] = entry
                self._bytes += len(entry.body)
        if len(self._entries) <= HELD_ENTRIES and self._bytes <= HELD_BYTES:
            return True
        self.clear()
        return False

    def take_after(self, head: int) -> list[Entry]:
        """What follows `head` without a hole; what is not beyond it is forgotten."""
        ready: list[Entry] = []
        while (entry := self._entries.pop(head + len(ready) + 1, None)) is not None:
            ready.append(entry)
            self._bytes -= len(entry.body)
        last = head + len(ready)
        for seq in [seq for seq in self._entries if seq <= last]:
            self._bytes -= len(self._entries.pop(seq).body)
        if not self._entries:
            self.stop()
        return ready

    def clear(self) -> None:
        self._entries.clear()
        self._bytes = 0
        self.stop()

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
