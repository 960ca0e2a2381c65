"""The assistant over HTTP: asked by one person, who has it remember what was said, in private."""

import contextlib
import re
import uuid
from collections.abc import AsyncGenerator

import msgspec
import structlog
from sqlalchemy import Connection

from parley.assistant.interface import Ending, Failed, Line, Piece
from parley.clock import Clock
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import UserId
from parley.services.assistant import context
from parley.services.assistant.budget import DAY_MS, Budget, purse_of
from parley.services.assistant.calling import Calling
from parley.services.assistant.figures import Figures
from parley.services.assistant.places import Places
from parley.store.interface import Database
from parley.store.sql import assistant_use as sql
from parley.store.sql.assistant_use import Turn

log = structlog.stdlib.get_logger("parley.assistant")

TURNS = 40
"""Kept of one memory, the newest."""
MEMORIES = 100
"""Of one user; one more forgets the one that was not used for longest. Guests share theirs, and have more."""
GUEST_MEMORIES = 1_000
USAGE_DAYS = 40
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Told(msgspec.Struct, frozen=True):
    """The end: all that was said, and how it ended (`stop`, `length`, …)."""

    conversation_id: str
    text: str
    finish_reason: str


class Memory:
    """The service. Raises ChatError."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        budget: Budget,
        calling: Calling,
        places: Places,
        figures: Figures,
        prompt: str,
        context_tokens: int,
        max_tokens: int,
        days: int,
    ) -> None:
        self._database = database
        self._clock = clock
        self._budget = budget
        self._calling = calling
        self._places = places
        self._figures = figures
        self._prompt = prompt
        self._context_tokens = context_tokens
        self._max_tokens = max_tokens
        self._days = days

    async def chat(self, actor: Actor, message: str, memory_id: str | None) -> AsyncGenerator[Piece | Told]:
        """Pieces, then `Told`, once it is remembered. `memory_id` None: a new memory.

        Raises ChatError, before the first piece but for assistant_failed: unknown_conversation (also where the memory
        is somebody else's), assistant_busy, assistant_budget, assistant_failed.
        """
        owner = purse_of(actor)
        turns = await self._recall(owner, memory_id)
        lines = context.of_two(self._prompt, turns, message, self._context_tokens)
        with self._places.taken(owner):
            reserved = await self._budget.reserve(owner, context.cost(lines) + self._max_tokens)
            if reserved is None:
                self._figures.refused.labels(Code.ASSISTANT_BUDGET.name).inc()
                raise ChatError(Code.ASSISTANT_BUDGET, retry_after_ms=self._budget.until_tomorrow_ms())
            text, used, reason = "", 0, "stop"
            try:
                async with contextlib.aclosing(self._asked(lines)) as parts:
                    async for part in parts:
                        if isinstance(part, Piece):
                            text += part.text
                            yield part
                        else:
                            reason = part.reason
                            used = _used(part)
            finally:
                await self._budget.settle(reserved, used or context.cost(lines) + context.tokens(text))
            if not text:
                raise ChatError(Code.ASSISTANT_FAILED)
            kept = await self._remember(owner, memory_id, message, text)
        self._figures.answers.labels("done").inc()
        yield Told(kept, text, reason)

    async def _asked(self, lines: list[Line]) -> AsyncGenerator[Piece | Ending]:
        try:
            async with contextlib.aclosing(self._calling.answer(lines)) as parts:
                async for part in parts:
                    yield part
        except Failed as failed:
            log.info("answer_failed", kind=failed.kind.value)
            raise ChatError(Code.ASSISTANT_FAILED) from None

    async def _recall(self, owner: UserId, memory_id: str | None) -> list[Turn]:
        if memory_id is None:
            return []
        if _UUID.fullmatch(memory_id) is None:
            raise ChatError(Code.BAD_PAYLOAD, "conversation_id: a UUID as it was answered before is wanted.")
        found = await self._database.read(lambda connection: sql.recall(connection, memory_id, owner))
        if found is None:
            raise ChatError(Code.UNKNOWN_CONVERSATION)
        return found

    async def _remember(self, owner: UserId, memory_id: str | None, question: str, answer: str) -> str:
        """Two that ask at once are both remembered: what the other added meanwhile is read again."""
        kept = memory_id or str(uuid.uuid4())
        most = GUEST_MEMORIES if owner == 0 else MEMORIES

        def change(connection: Connection) -> None:
            turns = sql.recall(connection, kept, owner, lock=True) or []
            turns += [Turn("user", context.clipped(question, self._context_tokens)), Turn("assistant", answer)]
            sql.remember(connection, kept, owner, self._bounded(turns), self._clock.now_ms())
            sql.crowd_out(connection, owner, most)

        await self._database.write(change)
        return kept

    def _bounded(self, turns: list[Turn]) -> list[Turn]:
        """The newest, as many as could be shown."""
        left, kept = self._context_tokens, list[Turn]()
        for turn in reversed(turns[-TURNS:]):
            left -= context.tokens(turn.text) + context.LINE_TOKENS
            if left < 0:
                break
            kept.append(turn)
        return kept[::-1]

    async def sweep(self) -> None:
        """Forget what was not used for the days that are set."""
        now = self._clock.now_ms()
        before, days = now - self._days * DAY_MS, now // DAY_MS - USAGE_DAYS
        await self._database.write(lambda connection: sql.sweep(connection, before, days))


def _used(ending: Ending) -> int:
    """0: it did not say."""
    return (ending.prompt_tokens or 0) + (ending.answer_tokens or 0)
