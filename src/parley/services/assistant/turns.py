"""One after another, in the order in which they came: what begins in a conversation."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from parley.protocol.types import ConversationId


class Turns:
    """A fair lock for each conversation, for as long as somebody wants it."""

    def __init__(self) -> None:
        self._locks: dict[ConversationId, asyncio.Lock] = {}
        self._wanted: Counter[ConversationId] = Counter()

    @contextlib.asynccontextmanager
    async def of(self, conversation_id: ConversationId) -> AsyncIterator[None]:
        self._wanted[conversation_id] += 1
        try:
            async with self._locks.setdefault(conversation_id, asyncio.Lock()):
                yield
        finally:
            self._wanted[conversation_id] -= 1
            if not self._wanted[conversation_id]:
                del self._wanted[conversation_id], self._locks[conversation_id]
