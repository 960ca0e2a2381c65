"""What a connection is told first."""

from collections.abc import Callable, Mapping
from typing import Any

from parley.clock import rfc3339
from parley.protocol.commands import Actor
from parley.protocol.types import ConversationId, ServerRole
from parley.services.accounts import Accounts
from parley.services.conversations import Conversations
from parley.store.sql.accounts import UserRow
from parley.store.sql.conversations import conversation_shape


def user_as_shown(user: UserRow) -> dict[str, Any]:
    """A User in the native shape."""
    return {
        "id": str(user.id),
        "username": user.username,
        "display_name": user.display_name,
        "role": user.role,
        "guest": user.guest,
        "created_at": rfc3339(user.created_at),
    }


class Greeter:
    """`welcome`, read in one transaction with the heads from which the connection may go live."""

    def __init__(
        self,
        accounts: Accounts,
        conversations: Conversations,
        limits: dict[str, int],
        assistant: Callable[[], dict[str, str] | None],
        *,
        everyone_makes_bots: bool,
    ) -> None:
        """`assistant`: its `{id, name}`, None where there is none."""
        self._accounts = accounts
        self._conversations = conversations
        self._limits = limits
        self._assistant = assistant
        self._everyone_makes_bots = everyone_makes_bots

    async def greet(self, actor: Actor) -> tuple[dict[str, Any], Mapping[ConversationId, int]]:
        """Raises ChatError(unknown_user) for an account that is not there any more."""
        user = await self._accounts.user(actor.user_id)
        lobby = await self._conversations.lobby_id()
        told = await self._conversations.welcome_list(actor.user_id)
        welcome: dict[str, Any] = {
            "epoch": told.epoch,
            "user": user_as_shown(user),
            "limits": self._limits,
            "lobby": None if lobby is None else str(lobby),
            "assistant": self._assistant(),
            "makes_bots": not user.guest and user.role in self._bot_makers(),
            "conversations": [conversation_shape(view) for view in told.views],
        }
        return welcome, told.heads

    def _bot_makers(self) -> frozenset[str]:
        more = {ServerRole.MEMBER.value} if self._everyone_makes_bots else set()
        return frozenset({ServerRole.ADMIN.value} | more)
