"""Fan-out where this process is the only node: straight to its hub."""

from collections.abc import Sequence

from parley.fanout.interface import Subscriber
from parley.protocol.events import Entry, Signal
from parley.protocol.types import ConversationId, UserId


class MemoryFanOut:
    """`FanOut` of one node. Loses nothing and delivers before `publish` returns."""

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

    async def close(self) -> None:
        """Nothing is held."""
