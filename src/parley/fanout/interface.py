"""The seam of fan-out: what was committed here, told to every node that has someone who hears it.

Delivery: at most once; a publish is a hint and may be lost, the store heals it by seq. Order: entries of one
conversation in log order. A publish comes after the commit, never before. Who closes: the composition root.
"""

from collections.abc import Sequence
from typing import Protocol

from parley.protocol.events import Entry, Signal
from parley.protocol.types import ConversationId, UserId


class Subscriber(Protocol):
    """The hub of a node."""

    def publish(self, entries: Sequence[Entry]) -> None: ...

    def tell_conversation(
        self, conversation_id: ConversationId, signal: Signal, without: UserId | None = None
    ) -> None: ...

    def tell_user(self, user: UserId, signal: Signal) -> None: ...

    def invite(self, conversation_id: ConversationId, users: Sequence[UserId], cursor: int) -> None:
        """The users' connections are to hear a conversation from after `cursor` on, though no entry says so
        (directs)."""


class FanOut(Protocol):
    """The same questions, for all nodes. Called on the event loop; never waits."""

    def publish(self, entries: Sequence[Entry]) -> None: ...

    def tell_conversation(
        self, conversation_id: ConversationId, signal: Signal, without: UserId | None = None
    ) -> None: ...

    def tell_user(self, user: UserId, signal: Signal) -> None: ...

    def invite(self, conversation_id: ConversationId, users: Sequence[UserId], cursor: int) -> None: ...

    async def close(self) -> None: ...
