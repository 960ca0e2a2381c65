"""Typing: told to the others in a conversation of at most 200, and over by itself after 6 s without a word."""

import asyncio

from parley.gateway.connection import Connection
from parley.gateway.hub import CROWD, Hub
from parley.protocol.events import Signal
from parley.protocol.types import ConversationId, UserId

EXPIRES_S = 6.0

Key = tuple[ConversationId, UserId]


class TypingNotices:
    """Who is typing where, with one timer for all."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._until: dict[Key, float] = {}
        self._names: dict[Key, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    def set(self, connection: Connection, conversation_id: ConversationId, is_typing: bool) -> bool:
        """False if the connection does not hear this conversation, so that its user may not be heard there either."""
        feed = self._hub.feeds.get(conversation_id)
        if feed is None or not feed.hears(connection):
            return False
        key = (conversation_id, connection.actor.user_id)
        was = key in self._until
        if is_typing:
            self._names[key] = connection.actor.name
            self._until[key] = asyncio.get_running_loop().time() + EXPIRES_S
            self._arm()
        else:
            self._until.pop(key, None)
        if is_typing or was:
            self._tell(key, is_typing)
        if not is_typing:
            self._names.pop(key, None)
        return True

    def wrote(self, conversation_id: ConversationId, user: UserId) -> None:
        """A message ends it; the message itself tells the others."""
        self._until.pop((conversation_id, user), None)
        self._names.pop((conversation_id, user), None)

    def _tell(self, key: Key, is_typing: bool) -> None:
        conversation, user = key
        feed = self._hub.feeds.get(conversation)
        if feed is None or sum(map(len, feed.live.values())) > CROWD:
            return
        payload = {"conversation_id": str(conversation), "user_id": str(user), "is_typing": is_typing}
        self._hub.tell_conversation(
            conversation, Signal("typing", payload, conversation, self._names.get(key, "")), without=user
        )

    def _arm(self) -> None:
        if self._timer is None and self._until:
            self._timer = asyncio.get_running_loop().call_at(min(self._until.values()), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for key in [key for key, until in self._until.items() if until <= now]:
            del self._until[key]
            self._tell(key, False)
            self._names.pop(key, None)
        self._arm()
