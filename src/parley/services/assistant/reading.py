"""What an answer is made from: read in one transaction with the check that the asker may read it."""

import msgspec
from sqlalchemy import Connection

from parley.assistant.interface import Line
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import UserId
from parley.services.assistant import context
from parley.store.interface import Database
from parley.store.sql import assistant as sql
from parley.store.sql.access import enter
from parley.store.sql.assistant import Asked, Said

SAID = 200
"""Messages that are looked at, the newest. The budget of tokens takes fewer as a rule."""


class Reading(msgspec.Struct, frozen=True):
    lines: list[Line]
    guest: bool


class Reader:
    """For one assistant."""

    def __init__(self, database: Database, assistant: UserId, prompt: str, budget: int) -> None:
        """`budget`: tokens of all that is shown, by estimate."""
        self._database = database
        self._assistant = assistant
        self._prompt = prompt
        self._budget = budget

    async def read(self, asked: Asked) -> Reading:
        """Raises ChatError: who asked may not read it any more, or the question is gone."""

        def question(connection: Connection) -> tuple[list[Said], bool, bool]:
            role, guest = sql.roles(connection, [asked.asker]).get(asked.asker, ("", False))
            if not role:
                raise ChatError(Code.UNKNOWN_USER)
            if not guest:
                enter(connection, asked.conversation_id, asked.asker)
            said = sql.said(connection, asked.conversation_id, asked.seq, SAID)
            direct = bool(sql.directs_with(connection, [asked.conversation_id], self._assistant))
            return said, guest, direct

        said, guest, direct = await self._database.read(question)
        if guest:
            said = _since_they_came(said, asked.asker)
        if not said or said[-1].id != asked.question_id:
            raise ChatError(Code.MESSAGE_DELETED)
        return Reading(self._lines(asked, said, direct), guest)

    def _lines(self, asked: Asked, said: list[Said], direct: bool) -> list[Line]:
        if direct:
            turns, words = context.turns_of(said, asked.question_id, self._assistant)
            return context.of_two(self._prompt, turns, words, self._budget)
        return context.of_room(self._prompt, said, asked.question_id, self._assistant, self._budget)


def _since_they_came(said: list[Said], guest: UserId) -> list[Said]:
    """A guest reads no history: what is certain is that they heard what was said since their own first word."""
    for index, one in enumerate(said):
        if one.by == guest:
            return said[index:]
    return []
