"""Fan-out where this process is the only node, or where nodes have nothing between them but the store."""

from collections.abc import Sequence

from parley.fanout.interface import Subscriber
from parley.protocol.events import Entry, Signal
from parley.protocol.types import ConversationId, SessionId, UserId


class MemoryFanOut:
    """`FanOut` straight to this node's hub. Loses nothing there and delivers before `publish` returns."""

    reaches_others = False

    def __init__(self, hub: Subscriber) -> None:
        self._hub = hub

    def publish(self, entries: Sequence[Entry]) -> None:
        self._hub.publish(entries)

    def tell_conversation(self, conversation_id: ConversationId, signal: Signal, without: UserId | None = None) -> None:
        self._hub.tell_conversation(conversation_id, signal, without)

    def tell_user(self, user: UserId, signal: Signal) -> None:
        self._hub.tell_user(user, signal)

    def invite(self, conversation_id: ConversationId, users: Sequence[UserId], cursor: int) -> None:
        self._hub.invite(conversation_id, users, cursor)

    def session_ended(self, session_id: SessionId | None, user: UserId) -> None:
        """There is nobody else."""

    def seat_taken(self, user: UserId, dialect: str, connection_id: str) -> None:
        """There is nobody else."""

    def hear(self, conversation_id: ConversationId) -> None:
        """Everything is heard here."""

    def unhear(self, conversation_id: ConversationId) -> None:
        """Everything is heard here."""

    def hear_user(self, user: UserId) -> None:
        """Everything is heard here."""

    def unhear_user(self, user: UserId) -> None:
        """Everything is heard here."""

    async def close(self) -> None:
        """Nothing is held."""
