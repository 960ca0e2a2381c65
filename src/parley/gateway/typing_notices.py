"""Typing: told to the others in a conversation of at most 200, and over by itself after 6 s without a word."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from parley.fanout.interface import FanOut
from parley.gateway.connection import Connection
from parley.gateway.hub import CROWD, Hub
from parley.protocol.events import Signal
from parley.protocol.types import ConversationId, UserId

EXPIRES_S = 6.0
KEPT_S = 10.0
"""How long a conversation is taken to be as large as it was."""
KEPT_SIZES = 10_000

Key = tuple[ConversationId, UserId]


class TypingNotices:
    """Who of this node's is typing where, with one timer for all."""

    def __init__(self, hub: Hub, fanout: FanOut, members: Callable[[ConversationId], Awaitable[int]]) -> None:
        """`members`: how many a conversation has; of the lobby, how many accounts there are."""
        self._hub = hub
        self._fanout = fanout
        self._members = members
        self._sizes: OrderedDict[ConversationId, tuple[float, int]] = OrderedDict()
        self._until: dict[Key, float] = {}
        self._names: dict[Key, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    def heard_by(self, connection: Connection, conversation_id: ConversationId) -> bool:
        """False: it does not hear this conversation, so its user may not be heard there either."""
        feed = self._hub.feeds.get(conversation_id)
        return feed is not None and feed.hears(connection)

    def knows_size(self, conversation_id: ConversationId) -> bool:
        """Whether `set` may be called without `learn_size` first."""
        known = self._sizes.get(conversation_id)
        return known is not None and asyncio.get_running_loop().time() < known[0]

    async def learn_size(self, conversation_id: ConversationId) -> None:
        size = await self._members(conversation_id)
        self._sizes[conversation_id] = (asyncio.get_running_loop().time() + KEPT_S, size)
        self._sizes.move_to_end(conversation_id)
        if len(self._sizes) > KEPT_SIZES:
            self._sizes.popitem(last=False)

    def set(self, connection: Connection, conversation_id: ConversationId, is_typing: bool) -> None:
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

    def wrote(self, conversation_id: ConversationId, user: UserId) -> None:
        """A message ends it; the message itself tells the others."""
        self._until.pop((conversation_id, user), None)
        self._names.pop((conversation_id, user), None)

    def _tell(self, key: Key, is_typing: bool) -> None:
        conversation, user = key
        if self._sizes.get(conversation, (0.0, 0))[1] > CROWD:
            return
        payload = {"conversation_id": str(conversation), "user_id": str(user), "is_typing": is_typing}
        self._fanout.tell_conversation(
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
