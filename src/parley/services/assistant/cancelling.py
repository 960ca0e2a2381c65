"""Who may stop an answer, and where it is."""

from typing import Protocol

from sqlalchemy import Connection

from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ConversationId, MessageId, Role, UserId
from parley.services.assistant.rows import Rows
from parley.store.interface import Database
from parley.store.sql import assistant as sql
from parley.store.sql.access import enter
from parley.store.sql.assistant import Asked


class Here(Protocol):
    """What this process answers itself."""

    def asked_here(self, message_id: MessageId) -> Asked | None: ...

    def end_here(self, question: MessageId) -> bool: ...


class Cancelling:
    def __init__(self, database: Database, rows: Rows, assistant: UserId, here: Here) -> None:
        self._database = database
        self._rows = rows
        self._assistant = assistant
        self._here = here

    async def cancel(self, actor: Actor, conversation_id: ConversationId, message_id: MessageId) -> None:
        """By who asked, and by administrators. What has ended already stays as it is, and that is no error."""
        role = await self._role(actor, conversation_id)
        asked = self._here.asked_here(message_id) or await self._rows.named(conversation_id, message_id)
        if asked is None or asked.conversation_id != conversation_id:
            await self._check_ended(conversation_id, message_id)
            return
        if asked.asker != actor.user_id and not actor.admin and not role.moderates:
            raise ChatError(Code.ROLE_REQUIRED)
        if not self._here.end_here(asked.question_id):
            await self._rows.ask_to_cancel(asked.question_id)

    async def _role(self, actor: Actor, conversation_id: ConversationId) -> Role:
        if actor.guest:
            if actor.guest_of != conversation_id:
                raise ChatError(Code.UNKNOWN_CONVERSATION)
            return Role.MEMBER
        if actor.admin:
            return Role.ADMIN
        found = await self._database.read(lambda connection: enter(connection, conversation_id, actor.user_id))
        assert found.role is not None
        return found.role

    async def _check_ended(self, conversation_id: ConversationId, message_id: MessageId) -> None:
        def question(connection: Connection) -> bool:
            return sql.written_by(connection, conversation_id, message_id, self._assistant)

        if not await self._database.read(question):
            raise ChatError(Code.UNKNOWN_MESSAGE, "The assistant answers nothing there.")
