"""What a resume reads, from the services that know who may read it."""

from collections.abc import Mapping, Sequence
from typing import Any

from parley.protocol.commands import Actor
from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, UserId
from parley.services.conversations import Conversations
from parley.services.history import History
from parley.services.legacy import Legacy


class ServiceSource:
    """`catchup.Source`."""

    def __init__(self, conversations: Conversations, history: History, legacy: Legacy) -> None:
        self._conversations = conversations
        self._history = history
        self._legacy = legacy

    async def heads(self, user: UserId, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, int]:
        return await self._conversations.heads(user, conversations)

    async def entries_after(
        self, conversation: ConversationId, after: int, limit: int, max_bytes: int, reader: UserId | None
    ) -> tuple[list[Entry], int] | None:
        return await self._history.entries_after(conversation, after, limit, max_bytes, reader)

    async def named_entries_after(
        self, conversation: ConversationId, after: int, reader: UserId | None
    ) -> tuple[list[Entry], int] | None:
        return await self._legacy.entries_after(conversation, after, reader)

    async def describe(self, actor: Actor, conversation: ConversationId) -> dict[str, Any]:
        return await self._conversations.describe(actor, conversation)
