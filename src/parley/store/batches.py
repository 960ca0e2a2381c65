"""Batches into the store: one transaction, one fsync, for all the commands that came while the one before was
written."""

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from parley.clock import Clock
from parley.ids import Snowflakes
from parley.protocol.errors import Code
from parley.store import rules
from parley.store.interface import (
    Append,
    BatchResult,
    Mark,
    Marked,
    Outcome,
    Refused,
    StoreBroken,
    StoreUnavailable,
)
from parley.store.ledger import Ledger
from parley.store.sql.hot import Cursor, HotSql
from parley.store.threads import Writer

log = structlog.get_logger()

Done = Callable[[BatchResult | StoreUnavailable], None]


class SqlBatches:
    """`BatchStore` over the writer's thread."""

    def __init__(self, writer: Writer, hot: HotSql, ids: Snowflakes, clock: Clock) -> None:
        """`ids` belongs to the writer's thread from here on."""
        self._writer = writer
        self._hot = hot
        self._ids = ids
        self._clock = clock

    def submit(self, appends: Sequence[Append], marks: Sequence[Mark], done: Done) -> None:
        self._writer.submit(lambda connection: done(self.write(connection, appends, marks)))

    def write(
        self, connection: Connection, appends: Sequence[Append], marks: Sequence[Mark]
    ) -> BatchResult | StoreUnavailable:
        """On the writer's thread. Never raises: whatever happens, the batch gets an answer."""
        try:
            return self._write(connection, appends, marks)
        except OperationalError as error:
            log.warning("batch_refused", error=str(error.orig), appends=len(appends))
            return unavailable(error)
        except Exception as error:
            log.exception("batch_failed", appends=len(appends))
            return StoreUnavailable(str(error))

    def _write(self, connection: Connection, appends: Sequence[Append], marks: Sequence[Mark]) -> BatchResult:
        try:
            return self._transact(connection, appends, marks, optimistic=True)
        except IntegrityError:
            # A client_id in it was used before (a retry after a reconnect): look them all up and decide again.
            pass
        try:
            return self._transact(connection, appends, marks, optimistic=False)
        except OperationalError:
            raise
        except (DBAPIError, ValueError, TypeError):
            log.exception("batch_split", appends=len(appends))
        return self._one_by_one(connection, appends, marks)

    def _one_by_one(self, connection: Connection, appends: Sequence[Append], marks: Sequence[Mark]) -> BatchResult:
        """So that one command that the database cannot take fails alone."""
        outcomes: list[Outcome] = []
        for append in appends:
            try:
                outcomes += self._transact(connection, [append], (), optimistic=False).outcomes
            except OperationalError:
                raise
            except (DBAPIError, ValueError, TypeError):
                log.exception("command_failed", command=type(append.command).__name__)
                outcomes.append(Refused(Code.INTERNAL))
        return BatchResult(outcomes, self._transact(connection, (), marks, optimistic=False).marks)

    def _transact(
        self, connection: Connection, appends: Sequence[Append], marks: Sequence[Mark], *, optimistic: bool
    ) -> BatchResult:
        with connection.begin():
            cursor: Any = connection.connection.cursor()
            try:
                ledger = Ledger(connection, cursor, self._hot, self._ids, self._clock.now_ms())
                _preload(ledger, appends, optimistic=optimistic)
                outcomes = [rules.decide(ledger, append, optimistic=optimistic) for append in appends]
                ledger.flush()
                marked = _move_marks(cursor, self._hot, marks) if marks else []
            except Exception as error:
                raise _wrapped(error) from error
            finally:
                cursor.close()
        return BatchResult(outcomes, marked)


def _preload(ledger: Ledger, appends: Sequence[Append], *, optimistic: bool) -> None:
    if not optimistic:
        ledger.remember_answers(list(appends))
    conversations = {append.command.conversation_id for append in appends}
    ledger.preload(conversations, {(append.command.conversation_id, append.actor) for append in appends})


def _move_marks(cursor: Cursor, hot: HotSql, marks: Sequence[Mark]) -> list[Marked | Refused]:
    """Forward only, never past the head; the read position carries the delivered one along."""
    states: dict[int, tuple[Any, ...]] = {
        row[0]: row for row in hot.mark_states(cursor, [(m.user_id, m.conversation_id, m.read_seq) for m in marks])
    }
    results: list[Marked | Refused] = []
    rows = []
    for index, mark in enumerate(marks):
        state = states.get(index)
        if state is None or not state[1]:
            results.append(Refused(Code.UNKNOWN_CONVERSATION))
            continue
        _, _, head, head_ordinal, read, read_ordinal, delivered, ordinal, member_count = state
        new_read = max(read, min(mark.read_seq, head))
        new_delivered = max(delivered, new_read, min(mark.delivered_seq, head))
        new_ordinal = max(read_ordinal, ordinal)
        moved = (new_read, new_delivered) != (read, delivered)
        if moved:
            rows.append((mark.user_id, mark.conversation_id, new_read, new_ordinal, new_delivered))
        unread = head_ordinal - new_ordinal
        results.append(Marked(mark.user_id, mark.conversation_id, new_read, new_delivered, unread, moved, member_count))
    if rows:
        hot.move_marks(cursor, rows)
    return results


def _wrapped(error: Exception) -> Exception:
    """The driver's own error as SQLAlchemy's, since the hot statements go past SQLAlchemy."""
    kind = type(error).__name__
    if kind == "IntegrityError" and not isinstance(error, DBAPIError):
        return IntegrityError("", None, error)
    if kind == "OperationalError" and not isinstance(error, DBAPIError):
        return OperationalError("", None, error)
    return error


def unavailable(error: OperationalError) -> StoreUnavailable:
    """A failed fsync is not to be tried again: the kernel may already have dropped the pages it could not write."""
    name = getattr(error.orig, "sqlite_errorname", "")
    broken = name in {"SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_CORRUPT"}
    return (StoreBroken if broken else StoreUnavailable)(str(error.orig))
