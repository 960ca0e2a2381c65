"""Batches into the store: one transaction, one fsync, for all the commands that came while the one before was
written."""

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Transaction
from sqlalchemy.exc import IntegrityError

from parley.clock import Clock
from parley.ids import Snowflakes
from parley.protocol.errors import Code
from parley.store import rules
from parley.store.failures import unavailable, wrapped
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

INLINE = 500
"""Changes decided on the submitting thread at once: about 8 ms. A larger batch goes to the writer's thread."""

Done = Callable[[BatchResult | StoreUnavailable], None]


class SqlBatches:
    """`BatchStore` over the writer's thread."""

    def __init__(self, writer: Writer, hot: HotSql, ids: Snowflakes, clock: Clock, *, inline: bool = False) -> None:
        """`ids` belongs to the writer's connection from here on. `inline`: the database answers without a network, so
        its statements may run on the thread that submits."""
        self._inline = inline
        self._writer = writer
        self._hot = hot
        self._ids = ids
        self._clock = clock

    def submit(self, appends: Sequence[Append], marks: Sequence[Mark], done: Done) -> None:
        """Decide and write here, and let the writer's thread do what waits for the disk: the commit.

        Statements on another thread give up the interpreter's lock and win it back some twenty times a batch, against
        an event loop that is busy; that costs more than the statements. Where the writer has other work, or anything
        is not as usual, the whole batch goes to its thread.
        """
        connection = self._writer.at_rest() if self._inline and len(appends) <= INLINE else None
        pending = self._prepare(connection, appends, marks) if connection is not None else None
        try:
            if pending is None:
                self._writer.submit(lambda connection: done(self.write(connection, appends, marks)))
            else:
                transaction, result = pending
                self._writer.submit(lambda connection: done(self._commit(connection, transaction, result)))
        except StoreUnavailable as closed:
            if pending is not None:
                pending[0].rollback()
            done(closed)

    def _prepare(
        self, connection: Connection, appends: Sequence[Append], marks: Sequence[Mark]
    ) -> tuple[Transaction, BatchResult] | None:
        """Everything but the commit. None, with nothing left open: let the thread do it, and deal with what it
        finds."""
        try:
            transaction = connection.begin()
        except Exception:
            return None
        try:
            return transaction, self._apply(connection, appends, marks, optimistic=True)
        except Exception as error:
            _roll_back(connection, transaction)
            # A failed fsync must not be tried again on the thread either.
            self._writer.failed(connection, error)
            return None

    def _commit(
        self, connection: Connection, transaction: Transaction, result: BatchResult
    ) -> BatchResult | StoreUnavailable:
        """On the writer's thread. Never raises."""
        try:
            transaction.commit()
        except Exception as error:
            # Until then SQLAlchemy keeps the failed transaction, and no other could begin.
            _roll_back(connection, transaction)
            failure = self._writer.failed(connection, error)
            if failure is None:
                log.exception("commit_failed")
                return StoreUnavailable(type(error).__name__)
            log.warning("batch_refused", error=str(failure), appends=len(result.outcomes))
            return failure
        return result

    def write(
        self, connection: Connection, appends: Sequence[Append], marks: Sequence[Mark]
    ) -> BatchResult | StoreUnavailable:
        """On the writer's thread. Never raises: whatever happens, the batch gets an answer."""
        if self._writer.broken is not None:
            return self._writer.broken
        try:
            return self._write(connection, appends, marks)
        except Exception as error:
            failure = self._writer.failed(connection, error)
            if failure is None:
                log.exception("batch_failed", appends=len(appends))
                return StoreUnavailable(type(error).__name__)
            log.warning("batch_refused", error=str(failure), appends=len(appends))
            return failure

    def _write(self, connection: Connection, appends: Sequence[Append], marks: Sequence[Mark]) -> BatchResult:
        try:
            return self._transact(connection, appends, marks, optimistic=True)
        except IntegrityError:
            # A client_id in it was used before (a retry after a reconnect): look them all up and decide again.
            pass
        except Exception as error:
            return self._one_by_one(connection, appends, marks, error)
        try:
            return self._transact(connection, appends, marks, optimistic=False)
        except Exception as error:
            return self._one_by_one(connection, appends, marks, error)

    def _one_by_one(
        self, connection: Connection, appends: Sequence[Append], marks: Sequence[Mark], error: Exception
    ) -> BatchResult:
        """So that one command that the database cannot take fails alone. Each is committed by itself, so from here on
        a full disk refuses only what is left. Raises `error` if it was not about a command."""
        if unavailable(error) is not None:
            raise error
        log.error("batch_split", appends=len(appends), exc_info=error)
        outcomes: list[Outcome] = []
        marked: list[Marked | Refused] = []
        refused: Refused | None = None
        for append in appends:
            done, refused = self._alone(connection, [append], (), refused)
            outcomes += done.outcomes if done else [refused or Refused(Code.INTERNAL)]
        for mark in marks:
            done, refused = self._alone(connection, (), [mark], refused)
            marked += done.marks if done else [refused or Refused(Code.INTERNAL)]
        return BatchResult(outcomes, marked)

    def _alone(
        self, connection: Connection, appends: Sequence[Append], marks: Sequence[Mark], refused: Refused | None
    ) -> tuple[BatchResult | None, Refused | None]:
        """Its result if it has one, and with what all that follow are refused, if the store takes no more."""
        if refused is not None:
            return None, refused
        try:
            return self._transact(connection, appends, marks, optimistic=False), None
        except Exception as error:
            failure = self._writer.failed(connection, error)
            if isinstance(failure, StoreBroken):
                raise
            if failure is not None:
                log.warning("batch_refused", error=str(failure), appends=len(appends))
                return None, Refused(Code.STORAGE_UNAVAILABLE)
            log.exception("command_failed", commands=[type(append.command).__name__ for append in appends])
            return None, None

    def _transact(
        self, connection: Connection, appends: Sequence[Append], marks: Sequence[Mark], *, optimistic: bool
    ) -> BatchResult:
        with connection.begin():
            return self._apply(connection, appends, marks, optimistic=optimistic)

    def _apply(
        self, connection: Connection, appends: Sequence[Append], marks: Sequence[Mark], *, optimistic: bool
    ) -> BatchResult:
        """Inside a transaction."""
        cursor: Any = connection.connection.cursor()
        try:
            ledger = Ledger(connection, cursor, self._hot, self._ids, self._clock.now_ms())
            _preload(ledger, appends, optimistic=optimistic)
            outcomes = [rules.decide(ledger, append, optimistic=optimistic) for append in appends]
            ledger.flush()
            marked = _move_marks(cursor, self._hot, marks) if marks else []
        except Exception as error:
            raise wrapped(error) from error
        finally:
            cursor.close()
        return BatchResult(outcomes, marked)


def _roll_back(connection: Connection, transaction: Transaction) -> None:
    try:
        transaction.rollback()
    except Exception:
        connection.invalidate()


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
    rows: dict[tuple[int, int], tuple[int, ...]] = {}
    for index, mark in enumerate(marks):
        state = states.get(index)
        if state is None or not state[1]:
            results.append(Refused(Code.UNKNOWN_CONVERSATION))
            continue
        _, _, head, head_ordinal, read, read_ordinal, delivered, ordinal, member_count = state
        key = (mark.user_id, mark.conversation_id)
        if key in rows:
            # An earlier one of this batch has moved it already.
            _, _, read, read_ordinal, delivered = rows[key]
        new_read = max(read, min(mark.read_seq, head))
        new_delivered = max(delivered, new_read, min(mark.delivered_seq, head))
        new_ordinal = max(read_ordinal, ordinal)
        moved = (new_read, new_delivered) != (read, delivered)
        if moved:
            rows[key] = (*key, new_read, new_ordinal, new_delivered)
        unread = head_ordinal - new_ordinal
        results.append(Marked(*key, new_read, new_delivered, unread, moved, member_count))
    if rows:
        hot.move_marks(cursor, list(rows.values()))
    return results
