"""The assistant's life: questions in by `heard`, after their commit; answers out through the log, like anybody's.

A question is written down before it waits, and its row goes when it has been answered: whatever a death leaves over,
the next start, or another node once the lease is out, ends as interrupted. One `client_id` for each question's answer
and one for each answer's end make both happen once, however many try.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog

from parley.assistant.interface import Ending, Failed
from parley.clock import Clock
from parley.fanout.interface import FanOut
from parley.log.interface import Log
from parley.protocol.commands import Actor, CompleteAnswer, Durable, StartAnswer
from parley.protocol.errors import ChatError, Code, ErrorSpec
from parley.protocol.events import Entry
from parley.protocol.notices import SORRY
from parley.protocol.types import AnswerStatus, ConversationId, EntryKind, MessageId, UserId
from parley.services.assistant import context
from parley.services.assistant.asking import Candidate, candidate
from parley.services.assistant.budget import GUESTS, Budget, Reservation
from parley.services.assistant.calling import Calling
from parley.services.assistant.cancelling import Cancelling
from parley.services.assistant.figures import Figures
from parley.services.assistant.growth import Growth, Tell
from parley.services.assistant.line import Line
from parley.services.assistant.notices import Notices
from parley.services.assistant.reading import Reader, Reading
from parley.services.assistant.rows import Rows, answer_id, end_id
from parley.services.assistant.sifting import Sifter
from parley.services.assistant.turns import Turns
from parley.store.interface import Append, Appended, Database, Outcome, Refused, StoreUnavailable
from parley.store.sql.assistant import Asked, Growing, Left

log = structlog.stdlib.get_logger("parley.assistant")

HEARD = 2_000
"""Candidates that wait to be looked at; the next is refused."""
TICK_S = 1.0
LOOK_AROUND_S = 3.0
"""How often a node looks for what dead ones left over."""
TOO_LATE_MS = 300_000
"""A question that waited through its server's death is answered if it is not older than this."""
GOODBYE_S = 5.0
AGAIN_S = 1.0
CHARS_PER_TOKEN = 16
"""A provider that does not keep to `max_tokens` is cut off here."""


class Answering:
    """One process's assistant. `start` before use; `stop`, then `close` when the log is drained."""

    def __init__(
        self,
        *,
        assistant: UserId,
        name: str,
        max_tokens: int,
        database: Database,
        clock: Clock,
        log: Log,
        fanout: FanOut,
        reader: Reader,
        budget: Budget,
        calling: Calling,
        line: Line,
        rows: Rows,
        figures: Figures,
    ) -> None:
        self.assistant = assistant
        self._name = name
        self._max_tokens = max_tokens
        self._log = log
        self._fanout = fanout
        self._clock = clock
        self._reader = reader
        self._budget = budget
        self._calling = calling
        self._line = line
        self._rows = rows
        self._figures = figures
        self._notices = Notices(fanout, clock)
        self._sifter = Sifter(database, assistant)
        self._growths: dict[MessageId, Growth] = {}
        """By the answer's message."""
        self._heard: list[Candidate] = []
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._places: dict[int, int] = {}
        self._turns = Turns()
        self._stopping = False
        self.cancelling = Cancelling(database, rows, assistant, self)

    # --- living -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Ends what a death left over, before anybody can be connected."""
        await self._take_over()
        if self._tasks:
            # A store that is full must not keep the server from starting; it goes on trying.
            await asyncio.wait(self._tasks, timeout=GOODBYE_S)
        loop = asyncio.get_running_loop()
        self._loops = [loop.create_task(self._take_in()), loop.create_task(self._keep())]

    async def stop(self) -> None:
        """What is being answered ends as interrupted, while the log still takes it. What waits stays written down."""
        self._stopping = True
        for growth in list(self._growths.values()):
            growth.end(AnswerStatus.INTERRUPTED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GOODBYE_S)

    async def close(self) -> None:
        for task in (*self._loops, *self._tasks):
            task.cancel()
        await asyncio.gather(*self._loops, *self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _show(self) -> None:
        self._figures.running.set(self._line.running)
        self._figures.waiting.set(self._line.waiting)

    # --- hearing ------------------------------------------------------------------------------------------------------

    def heard(self, entries: Sequence[Entry]) -> None:
        """Entries that this node has just committed. On the path of every message: it only looks, and notes."""
        for entry in entries:
            if entry.kind is EntryKind.MESSAGE_CREATED:
                found = candidate(entry, self.assistant, direct=self._sifter.may_be_direct(entry.conversation_id))
                if found is not None:
                    self._note(found)
            elif entry.kind is EntryKind.MESSAGE_DELETED and entry.message_id is not None:
                self._deleted(entry.message_id)
            elif entry.kind is EntryKind.CONVERSATION_CLOSED:
                self._closed(entry.conversation_id)

    def _note(self, found: Candidate) -> None:
        if len(self._heard) < HEARD:
            self._heard.append(found)
            self._wake.set()
        elif found.certain:
            self._refuse(_asked(found), Code.ASSISTANT_BUSY)

    def _deleted(self, message_id: MessageId) -> None:
        growth = self._growths.get(message_id)
        if growth is not None:
            growth.deleted = True
            growth.end(AnswerStatus.CANCELLED)
        else:
            self.drop(message_id)

    def _closed(self, conversation_id: ConversationId) -> None:
        for asked in self._line.of_conversation(conversation_id):
            self.drop(asked.question_id)
        for growth in self._growths.values():
            if growth.asked.conversation_id == conversation_id:
                growth.end(AnswerStatus.CANCELLED)

    def drop(self, question: MessageId) -> bool:
        """Do not answer this one, which waits. False: it does not wait here."""
        asked = self._line.leave(question)
        if asked is None:
            return False
        self._spawn(self._forget(asked))
        self._show()
        return True

    async def _take_in(self) -> None:
        """In the order in which they were heard, which is the log's order in each conversation."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._heard = self._heard, []
            try:
                asked = await self._sifter.questions(batch)
                await self._queue_up(asked)
            except StoreUnavailable as error:
                log.warning("questions_not_noted", questions=len(batch), error=type(error).__name__)
                for found in batch:
                    if found.certain:
                        self._refuse(_asked(found), Code.ASSISTANT_UNAVAILABLE)
            except Exception:
                log.exception("questions_not_noted", questions=len(batch))

    async def _queue_up(self, questions: Sequence[Asked]) -> None:
        fitting: list[Asked] = []
        joined: dict[UserId, int] = {}
        for asked in questions:
            taken = joined.get(asked.asker, 0)
            if self._line.has_room_for(asked.asker, of_theirs=taken, of_all=len(fitting)):
                joined[asked.asker] = taken + 1
                fitting.append(asked)
            else:
                self._refuse(asked, Code.ASSISTANT_BUSY)
        if not fitting:
            return
        new = await self._rows.note(fitting)
        for asked in fitting:
            if asked.question_id in new:
                self._line.join(asked)
        self._start_next()
        self._tell_places()

    def _refuse(self, asked: Asked, spec: ErrorSpec) -> None:
        self._figures.refused.labels(spec.name).inc()
        self._notices.refused(asked, spec)

    def _start_next(self) -> None:
        if not self._stopping:
            for asked in self._line.start():
                self._places.pop(asked.question_id, None)
                self._spawn(self._answer(asked))
        self._show()

    def _tell_places(self) -> None:
        places = dict[int, int]()
        for asked, place in self._line.places():
            places[asked.question_id] = place
            if self._places.get(asked.question_id) != place:
                self._notices.queued(asked, place)
        self._places = places

    # --- answering ----------------------------------------------------------------------------------------------------

    async def _answer(self, asked: Asked) -> None:
        finished = True
        try:
            finished = await self._try_to_answer(asked)
        except ChatError as error:
            log.info("question_dropped", reason=error.spec.name)
        except StoreUnavailable as error:
            log.warning("question_not_answered", error=type(error).__name__)
            self._refuse(asked, Code.ASSISTANT_UNAVAILABLE)
        except Exception:
            log.exception("question_not_answered")
            self._refuse(asked, Code.ASSISTANT_UNAVAILABLE)
        finally:
            self._line.done(asked.question_id)
            self._start_next()
        if finished:
            await self._forget(asked)

    async def _forget(self, asked: Asked) -> None:
        try:
            await self._rows.forget(asked.question_id)
        except StoreUnavailable as error:
            # It is found there again, and then ended a second time to no effect.
            log.warning("answer_not_forgotten", error=type(error).__name__)

    async def _try_to_answer(self, asked: Asked) -> bool:
        """False: it has not come to its end here, and its row must stay. Raises ChatError."""
        async with self._turns.of(asked.conversation_id):
            begun = await self._begin(asked)
        if isinstance(begun, bool):
            return begun
        growth, reading, reserved = begun
        self._growths[growth.message_id] = growth
        try:
            await self._rows.begin(asked.question_id, growth.message_id)
            return await self._grow(growth, reading, reserved)
        finally:
            growth.close()
            del self._growths[growth.message_id]

    async def _begin(self, asked: Asked) -> tuple[Growth, Reading, Reservation] | bool:
        """The answer's message is in the log from here on; or else whether this was the end of it."""
        reading = await self._reader.read(asked)
        purse = GUESTS if reading.guest else asked.asker
        reserved = await self._budget.reserve(purse, context.cost(reading.lines) + self._max_tokens)
        if reserved is None:
            self._refuse(asked, Code.ASSISTANT_BUDGET)
            return True
        begun = await self._submit(StartAnswer(asked.conversation_id, answer_id(asked.question_id), asked.question_id))
        if isinstance(begun, Refused):
            await self._budget.settle(reserved, 0)
            raise ChatError(begun.spec, begun.detail)
        ack = begun.ack if isinstance(begun, Appended) else begun
        assert ack.message_id is not None
        if ack.duplicate:
            # It was begun before, and nobody goes on with it. Where it has ended, this changes nothing.
            await self._budget.settle(reserved, 0)
            return await self._complete(asked.conversation_id, ack.message_id, SORRY, AnswerStatus.INTERRUPTED)
        growth = Growth(asked, ack.message_id, self._tell_of(asked.conversation_id))
        return growth, reading, reserved

    def _tell_of(self, conversation_id: ConversationId) -> Tell:
        return lambda signal: self._fanout.tell_conversation(conversation_id, signal)

    async def _grow(self, growth: Growth, reading: Reading, reserved: Reservation) -> bool:
        used: list[int] = []
        growth.work = asyncio.get_running_loop().create_task(self._stream(growth, reading, used))
        if growth.ending is not None or self._stopping:
            growth.end(AnswerStatus.INTERRUPTED if self._stopping else AnswerStatus.CANCELLED)
        await asyncio.wait([growth.work])
        growth.close()
        status = growth.ending or AnswerStatus.INTERRUPTED
        text = growth.text or (SORRY if status is AnswerStatus.INTERRUPTED else "")
        self._figures.answers.labels(status.value).inc()
        estimate = context.cost(reading.lines) + context.tokens(growth.text)
        ended = growth.deleted or await self._complete(growth.asked.conversation_id, growth.message_id, text, status)
        await self._budget.settle(reserved, used[0] if used else estimate)
        return ended

    async def _stream(self, growth: Growth, reading: Reading, used: list[int]) -> None:
        """Ends with `growth.ending` set, unless it failed or was cancelled."""
        most = self._max_tokens * CHARS_PER_TOKEN
        try:
            async with contextlib.aclosing(self._calling.answer(reading.lines)) as parts:
                async for part in parts:
                    if isinstance(part, Ending):
                        self._count(part, reading, growth.text, used)
                        continue
                    growth.add(part.text[: most - len(growth.text)])
                    if len(growth.text) >= most:
                        break
        except Failed as failed:
            log.info("answer_failed", kind=failed.kind.value, chars=len(growth.text))
            return
        if growth.text and growth.ending is None:
            growth.ending = AnswerStatus.DONE

    def _count(self, ending: Ending, reading: Reading, text: str, used: list[int]) -> None:
        asked = ending.prompt_tokens if ending.prompt_tokens is not None else context.cost(reading.lines)
        answered = ending.answer_tokens if ending.answer_tokens is not None else context.tokens(text)
        self._figures.tokens.labels("prompt").inc(asked)
        self._figures.tokens.labels("answer").inc(answered)
        used.append(asked + answered)

    async def _complete(
        self, conversation_id: ConversationId, message_id: MessageId, text: str, status: AnswerStatus
    ) -> bool:
        """Try until it is in the log or never can be. False: the log takes nothing more, and the next start does it."""
        command = CompleteAnswer(conversation_id, end_id(message_id), message_id, text, status)
        while True:
            outcome = await self._submit(command)
            if not isinstance(outcome, Refused) or not outcome.spec.retryable:
                return True
            if self._stopping:
                return False
            await asyncio.sleep(AGAIN_S)

    async def _submit(self, command: Durable) -> Outcome:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def settle(outcome: Outcome) -> None:
            if not done.done():
                done.set_result(outcome)

        self._log.submit(Append(self.assistant, command, name=self._name), settle)
        return await done

    # --- stopping one -------------------------------------------------------------------------------------------------

    async def cancel(self, actor: Actor, conversation_id: ConversationId, message_id: MessageId) -> None:
        """Raises ChatError: unknown_conversation, not_a_member, unknown_message, role_required."""
        await self.cancelling.cancel(actor, conversation_id, message_id)

    def asked_here(self, message_id: MessageId) -> Asked | None:
        """The question that this message answers, if that goes on here."""
        growth = self._growths.get(message_id)
        return None if growth is None else growth.asked

    def end_here(self, question: MessageId) -> bool:
        """End this question's answer, or take it out of the line. False: neither is here."""
        if self.drop(question):
            return True
        for growth in self._growths.values():
            if growth.asked.question_id == question:
                growth.end(AnswerStatus.CANCELLED)
                return True
        return False

    # --- keeping ------------------------------------------------------------------------------------------------------

    async def growing(self) -> list[Growing]:
        """All answers under way, on every node, as their drafts have them."""
        return await self._rows.growing()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while True:
            await asyncio.sleep(TICK_S)
            try:
                if self._growths or self._line.waiting:
                    await self._renew()
                    self._tell_places()
                if not self._rows.alone and loop.time() - looked >= LOOK_AROUND_S:
                    looked = loop.time()
                    await self._take_over()
            except StoreUnavailable as error:
                log.warning("drafts_not_kept", error=type(error).__name__)
            except Exception:
                log.exception("drafts_not_kept")

    async def _renew(self) -> None:
        growths = list(self._growths.values())
        kept, cancelled = await self._rows.renew({growth.asked.question_id: growth.text for growth in growths})
        for growth in growths:
            if growth.asked.question_id in cancelled:
                growth.end(AnswerStatus.CANCELLED)
            elif growth.asked.question_id not in kept and growth.message_id in self._growths:
                # This process was away for so long that another has ended it.
                growth.end(AnswerStatus.INTERRUPTED)
        for question in cancelled:
            self.drop(MessageId(question))

    async def _take_over(self) -> None:
        while left := await self._rows.take_over(self.assistant):
            for one in left:
                self._spawn(self._settle_left(one))
        self._start_next()

    async def _settle_left(self, left: Left) -> None:
        if left.message_id is not None:
            log.info("answer_interrupted", chars=len(left.draft))
            self._figures.answers.labels(AnswerStatus.INTERRUPTED.value).inc()
            text = left.draft or SORRY
            await self._complete(left.asked.conversation_id, left.message_id, text, AnswerStatus.INTERRUPTED)
        elif left.age_ms <= TOO_LATE_MS:
            self._line.join(left.asked)
            self._start_next()
            return
        await self._forget(left.asked)


def _asked(found: Candidate) -> Asked:
    return Asked(found.message_id, found.conversation_id, found.seq, found.by)
