"""Of what may be questions, those that are: what the store has to be asked for."""

from collections.abc import Sequence

from sqlalchemy import Connection

from parley.protocol.types import ConversationId, ServerRole, UserId
from parley.services.assistant.asking import Candidate
from parley.store.interface import Database
from parley.store.sql import assistant as sql
from parley.store.sql.assistant import Asked

KNOWN = 100_000
"""Conversations that are remembered not to be direct ones with the assistant."""
SILENT = frozenset({ServerRole.BOT.value, ServerRole.WEBHOOK.value, ServerRole.ASSISTANT.value})
"""Programs get no answers: two that answer each other would never stop."""


class Sifter:
    def __init__(self, database: Database, assistant: UserId) -> None:
        self._database = database
        self._assistant = assistant
        self._directs: set[ConversationId] = set()
        self._others: set[ConversationId] = set()

    def may_be_direct(self, conversation_id: ConversationId) -> bool:
        """Whether everything that is said there may be a question. For ever the same, so it is looked up once."""
        return conversation_id not in self._others

    async def questions(self, batch: Sequence[Candidate]) -> list[Asked]:
        unknown = {found.conversation_id for found in batch} - self._directs - self._others
        replies = {found.replies_to for found in batch if found.replies_to is not None and not found.certain}
        askers = {found.by for found in batch}

        def question(connection: Connection) -> tuple[set[int], dict[int, int], dict[int, tuple[str, bool]]]:
            return (
                sql.directs_with(connection, unknown, self._assistant),
                sql.writers(connection, replies),
                sql.roles(connection, askers),
            )

        directs, writers, roles = await self._database.read(question)
        self._learn(unknown, directs)

        def asks(found: Candidate) -> bool:
            if roles.get(found.by, (ServerRole.BOT.value, False))[0] in SILENT:
                return False
            if found.certain or found.conversation_id in self._directs:
                return True
            return found.replies_to is not None and writers.get(found.replies_to) == self._assistant

        return [Asked(it.message_id, it.conversation_id, it.seq, it.by) for it in batch if asks(it)]

    def _learn(self, asked: set[ConversationId], directs: set[int]) -> None:
        if len(self._others) >= KNOWN:
            self._others.clear()
        for conversation in asked:
            (self._directs if conversation in directs else self._others).add(conversation)
