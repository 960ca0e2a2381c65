"""What was said: the log and the messages, for those who are members at the moment they ask.

Everything of an answer (epoch, head, items) is read in one transaction, so that it is a snapshot at that head.
"""

import msgspec
from sqlalchemy import Connection

from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, MessageId, UserId
from parley.protocol.wire import Message, wire_entry
from parley.store.interface import Database
from parley.store.sql import history as sql
from parley.store.sql import message_facts as facts
from parley.store.sql.access import Standing, enter, standing
from parley.store.sql.fetch import epoch
from parley.store.sql.message_facts import Place, Writing

LOG_LIMIT = 500
LOG_BYTES = 262_144
MESSAGES_LIMIT = 100
EDITS_LIMIT = 100
PINS_LIMIT = 200
RECEIPTS_LIMIT = 200
"""Names in each list of receipts. In larger circles nobody counts by name."""


class LogPage(msgspec.Struct, frozen=True):
    """Entries as native JSON. `next_after` None: this page reaches `head`."""

    epoch: str
    head: int
    entries: list[bytes]
    last_seq: int
    next_after: int | None


class MessagesPage(msgspec.Struct, frozen=True):
    """Messages, newest last, as they stand at `head`. `next`: the bound of the next page in the direction asked."""

    epoch: str
    head: int
    items: list[Message]
    next: int | None
    events: list[bytes] | None


class Receipts(msgspec.Struct, frozen=True):
    """Who has got a message, and who of them has read it."""

    delivered: list[UserId]
    read: list[UserId]


class History:
    """The service. Raises ChatError unknown_conversation or not_a_member for what one may not read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # The log

    async def log_page(
        self,
        actor: Actor,
        conversation_id: ConversationId,
        after: int = 0,
        limit: int = LOG_LIMIT,
        max_bytes: int = LOG_BYTES,
        *,
        epoch: str | None = None,
    ) -> LogPage:
        """Entries after a cursor. A cursor of another history (`epoch` given, and not the database's) gets none: the
        reader sees the epoch of this one and starts over with a snapshot."""

        def question(connection: Connection) -> LogPage:
            here = enter(connection, conversation_id, actor.user_id)
            if epoch is not None and epoch != here.epoch:
                return LogPage(here.epoch, here.head, [], after, None)
            page = sql.log_page(connection, conversation_id, after, here.head, min(limit, LOG_LIMIT), max_bytes)
            last = page[-1].seq if page else after
            return LogPage(
                here.epoch, here.head, [wire_entry(entry) for entry in page], last, last if last < here.head else None
            )

        return await self._database.read(question)

    async def entries_after(
        self,
        conversation_id: ConversationId,
        after: int,
        limit: int = 200,
        max_bytes: int = LOG_BYTES,
        reader: UserId | None = None,
    ) -> tuple[list[Entry], int] | None:
        """(entries, head) for the server's own use. With a `reader`, None unless they may read it at this moment."""

        def question(connection: Connection) -> tuple[list[Entry], int] | None:
            here = standing(connection, conversation_id, UserId(0) if reader is None else reader)
            if here is None or (reader is not None and here.role is None):
                return None
            return sql.log_page(connection, conversation_id, after, here.head, limit, max_bytes), here.head

        return await self._database.read(question)

    # Messages

    async def messages_page(
        self,
        actor: Actor,
        conversation_id: ConversationId,
        *,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
        limit: int = 50,
        events: bool = False,
    ) -> MessagesPage:
        """A page of messages: the newest, or those next to a seq. Give at most one of `before`, `after` and `around`.

        `events` adds the entries about members and the conversation from the same stretch of the log, so that pages
        going one way have each of them once.
        """
        if sum(bound is not None for bound in (before, after, around)) > 1:
            raise ChatError(Code.BAD_PAYLOAD, "before, after, around: one of them")
        limit = min(limit, MESSAGES_LIMIT)

        def question(connection: Connection) -> MessagesPage:
            here = enter(connection, conversation_id, actor.user_id)
            if after is not None:
                stretch = _forward(connection, here, after, limit)
            elif around is not None:
                stretch = _around(connection, here, around, limit)
            else:
                stretch = _back(connection, here, here.head if before is None else before - 1, limit)
            beside = (
                [wire_entry(entry) for entry in sql.events_between(connection, here.id, stretch.low, stretch.high)]
                if events
                else None
            )
            return MessagesPage(here.epoch, here.head, stretch.items, stretch.next, beside)

        return await self._database.read(question)

    async def pins(
        self, actor: Actor, conversation_id: ConversationId, limit: int = PINS_LIMIT, before: int | None = None
    ) -> tuple[list[Message], int | None]:
        """Pinned messages, the last pinned first, and the `before` of the next page."""
        limit = min(limit, PINS_LIMIT)

        def question(connection: Connection) -> list[tuple[int, Message]]:
            enter(connection, conversation_id, actor.user_id)
            return sql.pinned(connection, conversation_id, before, limit + 1)

        found = await self._database.read(question)
        return [message for _, message in found[:limit]], found[limit - 1][0] if len(found) > limit else None

    # One message

    async def edits(
        self,
        actor: Actor,
        conversation_id: ConversationId,
        message_id: MessageId,
        limit: int = EDITS_LIMIT,
        after: int = 0,
    ) -> tuple[list[Writing], int | None]:
        """The texts it has had, the first writing first, and the `after` of the next page. Raises unknown_message,
        message_deleted."""
        limit = min(limit, EDITS_LIMIT)

        def question(connection: Connection) -> list[Writing]:
            enter(connection, conversation_id, actor.user_id)
            if _place(connection, conversation_id, message_id).deleted:
                raise ChatError(Code.MESSAGE_DELETED)
            return facts.writings(connection, message_id, after, limit + 1)

        found = await self._database.read(question)
        return found[:limit], found[limit - 1].seq if len(found) > limit else None

    async def receipts(self, actor: Actor, conversation_id: ConversationId, message_id: MessageId) -> Receipts:
        """Members whom it has reached and who have read it, the writer left out; at most RECEIPTS_LIMIT of each.
        Raises unknown_message."""

        def question(connection: Connection) -> Receipts:
            here = enter(connection, conversation_id, actor.user_id)
            message = _place(connection, conversation_id, message_id)
            delivered, read = (
                facts.marked_beyond(
                    connection,
                    conversation_id,
                    message.seq,
                    read=read,
                    but=message.by,
                    lobby=here.lobby,
                    limit=RECEIPTS_LIMIT,
                )
                for read in (False, True)
            )
            return Receipts(delivered, read)

        return await self._database.read(question)

    async def epoch(self) -> str:
        """Names the history that seqs belong to."""
        return await self._database.read(epoch)


class _Stretch(msgspec.Struct):
    """Messages, the stretch [low, high] of the log that their page answers for, and the next page's bound."""

    items: list[Message]
    low: int
    high: int
    next: int | None


def _back(connection: Connection, here: Standing, last: int, limit: int) -> _Stretch:
    """The newest `limit` messages up to `last`, and the log from there down to the next older message."""
    last = min(last, here.head)
    found = sql.messages_up_to(connection, here.id, last, limit + 1)
    if len(found) <= limit:
        return _Stretch(found, 1, last, None)
    items = found[1:]
    return _Stretch(items, items[0].seq, last, items[0].seq)


def _forward(connection: Connection, here: Standing, after: int, limit: int) -> _Stretch:
    found = sql.messages_after(connection, here.id, after, here.head, limit + 1)
    if len(found) <= limit:
        return _Stretch(found, after + 1, here.head, None)
    items = found[:limit]
    return _Stretch(items, after + 1, items[-1].seq, items[-1].seq)


def _around(connection: Connection, here: Standing, seq: int, limit: int) -> _Stretch:
    """Half of it up to and with `seq`, half after; `next` goes on back, as with `before`."""
    older = _back(connection, here, seq, limit - limit // 2)
    newer = _forward(connection, here, min(seq, here.head), limit // 2)
    return _Stretch(older.items + newer.items, older.low, newer.high, older.next)


def _place(connection: Connection, conversation_id: ConversationId, message_id: MessageId) -> Place:
    found = facts.place(connection, conversation_id, message_id)
    if found is None:
        raise ChatError(Code.UNKNOWN_MESSAGE)
    return found
