"""What a connection is told first."""

from collections.abc import Mapping
from typing import Any

from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ConversationId
from parley.services.accounts import Accounts
from parley.services.conversations import Conversations
from parley.store.sql.conversations import conversation_shape


class Greeter:
    """`welcome`, read in one transaction with the heads from which the connection may go live."""

    def __init__(self, accounts: Accounts, conversations: Conversations, limits: dict[str, int]) -> None:
        self._accounts = accounts
        self._conversations = conversations
        self._limits = limits

    async def greet(self, actor: Actor) -> tuple[dict[str, Any], Mapping[ConversationId, int]]:
        """Raises ChatError(session_ended) for an account that is not there any more."""
        user = await self._accounts.user(actor.user_id)
        if user is None:
            raise ChatError(Code.SESSION_ENDED)
        lobby = await self._conversations.lobby_id()
        told = await self._conversations.welcome_list(actor.user_id)
        welcome: dict[str, Any] = {
            "epoch": told.epoch,
            "user": user,
            "limits": self._limits,
            "lobby": None if lobby is None else str(lobby),
            "conversations": [conversation_shape(view) for view in told.views],
        }
        return welcome, told.heads
