"""The seam of the log: accept a change, in order per conversation, and tell when it is durable.

Delivery: `reply` is called exactly once per submitted change, on the event loop, after the change is durable or
refused. Order: changes of one conversation submitted by one node keep their order. Publishing comes after durability,
never before. Who closes: the composition root, by `drain`, which leaves nothing accepted unanswered.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from parley.protocol.events import Entry
from parley.store.interface import Append, Mark, Marked, Outcome, Refused

Reply = Callable[[Outcome], None]
MarkReply = Callable[[Marked | Refused], None]
Publish = Callable[[Sequence[Entry]], None]
"""Called on the event loop with the entries of one batch in log order, each conversation's contiguous."""


class Log(Protocol):
    def submit(self, append: Append, reply: Reply) -> None:
        """Accept a change. May call `reply` at once with a retryable refusal (busy, draining); nothing accepted is
        dropped."""

    def mark(self, mark: Mark, reply: MarkReply) -> None:
        """Move a read mark; batched with the changes, but not an entry and not ordered among them."""

    async def drain(self) -> None:
        """Refuse what comes from now on (retryable), and return when everything accepted has been answered."""
