"""Answers under way, in the store: what a death leaves over, and what other nodes know of them."""

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Connection

from parley.protocol.types import ConversationId, MessageId, UserId
from parley.store.interface import Database
from parley.store.sql import assistant as sql
from parley.store.sql.assistant import Asked, Growing, Left

TAKEN_AT_ONCE = 100
MOST_GROWING = 1_000


class Rows:
    """One process's, by the name it made for itself at its start."""

    def __init__(self, database: Database, owner: str, *, alone: bool) -> None:
        """`alone`: no other process works on this database, so what is not this one's is a dead one's."""
        self._database = database
        self._owner = owner
        self.alone = alone

    async def note(self, questions: Sequence[Asked]) -> set[MessageId]:
        """Those that are new."""
        return await self._database.write(partial(sql.note, questions=questions, owner=self._owner))

    async def begin(self, question: MessageId, message: MessageId) -> bool:
        """False: it is not this process's any more."""
        return await self._database.write(partial(sql.begin, question=question, message=message, owner=self._owner))

    async def forget(self, question: MessageId) -> None:
        await self._database.write(partial(sql.forget, question=question, owner=self._owner))

    async def renew(self, drafts: Mapping[MessageId, str]) -> tuple[set[int], set[int]]:
        """(those that are still this process's, those that were cancelled on another node)."""
        return await self._database.write(partial(sql.renew, owner=self._owner, drafts=drafts))

    async def take_over(self, assistant: UserId) -> list[Left]:
        """What died processes left over is this one's now, each with its message if it had one."""

        def change(connection: Connection) -> list[Left]:
            return sql.take_over(connection, self._owner, alone=self.alone, limit=TAKEN_AT_ONCE)

        def found(connection: Connection, left: Left) -> Left:
            # It may have died between the entry and the note of it.
            message = left.message_id or sql.answer_of(connection, assistant, answer_id(left.asked.question_id))
            return Left(left.asked, message, left.draft, left.age_ms)

        taken = await self._database.write(change)
        return await self._database.read(lambda connection: [found(connection, left) for left in taken])

    async def named(self, conversation_id: ConversationId, message_id: MessageId) -> Asked | None:
        return await self._database.read(partial(sql.named, conversation_id=conversation_id, message_id=message_id))

    async def ask_to_cancel(self, question: MessageId) -> None:
        await self._database.write(partial(sql.ask_to_cancel, question=question))

    async def growing(self) -> list[Growing]:
        return await self._database.read(partial(sql.growing, limit=MOST_GROWING))


def answer_id(question: MessageId) -> str:
    """The client_id of a question's answer: there is one, whoever tries."""
    return f"answer.{question}"


def end_id(message: MessageId) -> str:
    return f"end.{message}"
