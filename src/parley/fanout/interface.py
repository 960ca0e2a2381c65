"""The seam of fan-out: what was committed here, told to every node that has someone who hears it.

Delivery: at most once; a publish is a hint and may be lost, the store heals it by seq. Order: entries of one
conversation that one node committed in log order; between nodes they may cross, and the feed puts them in order.
A publish comes after the commit, never before. Who closes: the composition root.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from parley.protocol.events import Entry, Signal
from parley.protocol.types import ConversationId, SessionId, UserId


class Subscriber(Protocol):
    """A node's own side: its hub and its gateway. Called on the event loop; never waits."""

    def publish(self, entries: Sequence[Entry]) -> None: ...

    def tell_conversation(
        self, conversation_id: ConversationId, signal: Signal, without: UserId | None = None
    ) -> None: ...

    def tell_user(self, user: UserId, signal: Signal) -> None: ...

    def invite(self, conversation_id: ConversationId, users: Sequence[UserId], cursor: int) -> None:
        """The users' connections are to hear a conversation from after `cursor` on, though no entry says so
        (directs)."""

    def session_ended(self, session_id: SessionId | None, user: UserId) -> None:
        """Close the sockets of a session that ended on another node; None: all of the user's."""

    def seat_taken(self, user: UserId, dialect: str, connection_id: str) -> None:
        """A dialect with one connection a user has a newer one, on another node."""

    def listening(self, conversations: Collection[ConversationId] | None) -> None:
        """From now on these are heard from the other nodes (None: all that were asked for, after a break). What was
        published before may have been missed: compare their heads with the store."""


class Ears(Protocol):
    """What the hub tells as its connections come and go, so that only nodes that have a member hear a conversation.
    Idempotent; on the event loop; never waits."""

    def hear(self, conversation_id: ConversationId) -> None: ...

    def unhear(self, conversation_id: ConversationId) -> None: ...

    def hear_user(self, user: UserId) -> None:
        """The user's first connection on this node: `tell_user`, `invite`, `session_ended` and `seat_taken` come here
        too."""

    def unhear_user(self, user: UserId) -> None: ...


class FanOut(Ears, Protocol):
    """The subscriber's questions, for all nodes, this one included: to this node's own subscriber before the call
    returns. Called on the event loop; never waits and never raises for a loss."""

    def publish(self, entries: Sequence[Entry]) -> None: ...

    def tell_conversation(
        self, conversation_id: ConversationId, signal: Signal, without: UserId | None = None
    ) -> None: ...

    def tell_user(self, user: UserId, signal: Signal) -> None: ...

    def invite(self, conversation_id: ConversationId, users: Sequence[UserId], cursor: int) -> None: ...

    def session_ended(self, session_id: SessionId | None, user: UserId) -> None:
        """To the other nodes only: this one has closed its own."""

    def seat_taken(self, user: UserId, dialect: str, connection_id: str) -> None:
        """To the other nodes only."""

    @property
    def reaches_others(self) -> bool:
        """Whether a publish would get to other nodes now. False: they hear within the time of a comparison of
        heads."""

    async def close(self) -> None: ...
