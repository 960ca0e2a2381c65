"""Batches into the store: one transaction, one fsync, for all the commands that came while the one before was
written."""

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Transaction
from sqlalchemy.exc import DBAPIError, IntegrityError

from parley.clock import Clock
from parley.ids import Snowflakes
from parley.protocol.errors import Code
from parley.store import rules
from parley.store.attempts import CommitLost, Doubt, Patience, WasCommitted
from parley.store.failures import Fault, fault_of, told, unavailable, wrapped
from parley.store.interface import (
    Append,
    BatchResult,
    Fence,
    Fenced,
    Mark,
    Marked,
    Outcome,
    Refused,
    StoreBroken,
    StoreUnavailable,
)
from parley.store.ledger import Ledger
from parley.store.sql.hot import HotSql
from parley.store.sql.offsets import move_offsets
from parley.store.threads import Writer

log = structlog.get_logger()

INLINE = 500
"""Changes decided on the submitting thread at once: about 8 ms. A larger batch goes to the writer's thread."""

REPEATS = 3
"""Times that a batch is decided again because a client_id in it turns out to be stored."""

Done = Callable[[BatchResult | StoreUnavailable], None]


class SqlBatches:
    """`BatchStore` over the writer's thread."""

    def __init__(self, writer: Writer, hot: HotSql, ids: Snowflakes, clock: Clock, *, inline: bool = False) -> None:
        """`ids` belongs to the writer's connection from here on. `inline`: the database is in this process, so its
        statements may run on the thread that submits, and what fails is not tried again."""
        self._inline = inline
        self._writer = writer
        self._hot = hot
        self._ids = ids
        self._clock = clock

    def submit(
        self, appends: Sequence[Append], marks: Sequence[Mark], done: Done, fences: Sequence[Fence] = ()
    ) -> None:
        """Decide and write here, and let the writer's thread do what waits for the disk: the commit.

        Statements on another thread give up the interpreter's lock and win it back some twenty times a batch, against
        an event loop that is busy; that costs more than the statements. Where the writer has other work, or anything
        is not as usual, the whole batch goes to its thread.
        """
        batch = Batch(appends, marks, fences)
        connection = self._writer.at_rest() if self._inline and len(appends) <= INLINE and not fences else None
        pending = self._prepare(connection, batch) if connection is not None else None
        try:
            if pending is None:
                self._writer.submit(lambda connection: done(self._write(connection, batch)))
            else:
                transaction, result = pending
                self._writer.submit(lambda connection: done(self._commit(connection, transaction, result)))
        except StoreUnavailable as closed:
            if pending is not None:
                pending[0].rollback()
            done(closed)

    def _prepare(self, connection: Connection, batch: "Batch") -> tuple[Transaction, BatchResult] | None:
        """Everything but the commit. None, with nothing left open: let the thread do it, and deal with what it
        finds."""
        try:
            transaction = connection.begin()
        except Exception:
            return None
        try:
            return transaction, self._apply(connection, batch, optimistic=True).result
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
            return self._refused(connection, error, len(result.outcomes))
        return result

    def _write(self, connection: Connection, batch: "Batch") -> BatchResult | StoreUnavailable:
        """On the writer's thread. Never raises: whatever happens, the batch gets an answer."""
        try:
            self._writer.refuse()
            return self._decide(connection, batch)
        except Exception as error:
            return self._refused(connection, error, len(batch.appends))

    def _refused(self, connection: Connection, error: Exception, appends: int) -> StoreUnavailable:
        failure = self._writer.failed(connection, error)
        if failure is None:
            log.error("batch_failed", appends=appends, error=told(error), exc_info=_shown(error))
            return StoreUnavailable(type(error).__name__)
        log.warning("batch_refused", error=str(failure), appends=appends)
        return failure

    def _decide(self, connection: Connection, batch: "Batch") -> BatchResult:
        try:
            return self._settle(connection, batch, self._apply)
        except StoreUnavailable:
            raise
        except Exception as error:
            if unavailable(error) is not None:
                raise
            log.error("batch_split", appends=len(batch.appends), error=told(error), exc_info=_shown(error))
            if batch.fences:
                return self._settle(connection, batch, self._apply_apart)
            return self._one_by_one(connection, batch)

    # A transaction, until it is known what became of it

    def _settle(self, connection: Connection, batch: "Batch", apply: Callable[..., Doubt]) -> BatchResult:
        """Transactions until one goes through. Raises what the last one raised, with nothing written."""
        patience = Patience()
        optimistic, doubt, repeats = True, None, 0
        while True:
            try:
                return self._transact(connection, batch, apply, optimistic=optimistic, doubt=doubt)
            except WasCommitted:
                assert doubt is not None
                return doubt.result
            except StoreUnavailable:
                raise
            except CommitLost as lost:
                doubt, error = lost.doubt, lost.__cause__
                assert isinstance(error, Exception)
            except Exception as failed:
                error = failed
            if isinstance(error, IntegrityError):
                # A client_id in it was used before (a retry after a reconnect): look them all up and decide again.
                # Should another node store one of them meanwhile, once more.
                if repeats == (1 if self._inline else REPEATS):
                    raise error
                repeats += 1
            elif self._inline or fault_of(error) not in {Fault.AGAIN, Fault.LOST} or not patience.once_more():
                self._writer.gave_up(error)
                raise error
            else:
                log.info("batch_again", error=told(error), appends=len(batch.appends))
            self._writer.failed(connection, error)
            optimistic = False

    def _transact(
        self,
        connection: Connection,
        batch: "Batch",
        apply: Callable[..., Doubt],
        *,
        optimistic: bool,
        doubt: Doubt | None,
    ) -> BatchResult:
        transaction = connection.begin()
        try:
            written = apply(connection, batch, optimistic=optimistic, doubt=doubt)
        except BaseException:
            _roll_back(connection, transaction)
            raise
        try:
            transaction.commit()
        except Exception as error:
            _roll_back(connection, transaction)
            if self._inline or isinstance(error, StoreUnavailable) or fault_of(error) is Fault.AGAIN:
                raise
            raise CommitLost(written) from error
        return written.result

    def _apply(
        self,
        connection: Connection,
        batch: "Batch",
        *,
        optimistic: bool,
        doubt: Doubt | None = None,
    ) -> Doubt:
        """Inside a transaction."""
        cursor: Any = connection.connection.cursor()
        try:
            ledger = Ledger(connection, cursor, self._hot, self._ids, self._clock.now_ms())
            _enter(ledger, batch, doubt)
            if not optimistic:
                ledger.remember_answers(batch.appends)
            outcomes = [rules.decide(ledger, append, optimistic=optimistic) for append in batch.appends]
            marked = ledger.flush(batch.marks)
        except Exception as error:
            if (told_by_sqlalchemy := wrapped(error)) is error:
                raise
            raise told_by_sqlalchemy from error
        finally:
            cursor.close()
        return Doubt(BatchResult(outcomes, marked), ledger.first_id)

    # When one command is at fault

    def _one_by_one(self, connection: Connection, batch: "Batch") -> BatchResult:
        """So that one command that the database cannot take fails alone. Each is committed by itself, so from here on
        a full disk refuses only what is left."""
        outcomes: list[Outcome] = []
        marked: list[Marked | Refused] = []
        refused: Refused | None = None
        for append in batch.appends:
            done, refused = self._alone(connection, Batch([append]), refused)
            outcomes += done.outcomes if done else [refused or Refused(Code.INTERNAL)]
        for mark in batch.marks:
            done, refused = self._alone(connection, Batch((), [mark]), refused)
            marked += done.marks if done else [refused or Refused(Code.INTERNAL)]
        return BatchResult(outcomes, marked)

    def _alone(
        self, connection: Connection, batch: "Batch", refused: Refused | None
    ) -> tuple[BatchResult | None, Refused | None]:
        """Its result if it has one, and with what all that follow are refused, if the store takes no more."""
        if refused is not None:
            return None, refused
        try:
            return self._settle(connection, batch, self._apply), None
        except Exception as error:
            failure = self._writer.failed(connection, error)
            if isinstance(failure, StoreBroken):
                raise
            if failure is not None:
                log.warning("batch_refused", error=str(failure), appends=len(batch.appends))
                return None, Refused(Code.STORAGE_UNAVAILABLE)
            _log_command(batch, error)
            return None, None

    def _apply_apart(
        self,
        connection: Connection,
        batch: "Batch",
        *,
        optimistic: bool,
        doubt: Doubt | None = None,
    ) -> Doubt:
        """Inside a transaction, in which all stays together because offsets move with it: each command in a savepoint
        of its own, on a ledger of its own, since one that failed leaves a ledger that knows too much."""
        cursor: Any = connection.connection.cursor()
        try:
            # All conversations at once, in their order, before the savepoints take them up in the batch's.
            _enter(Ledger(connection, cursor, self._hot, self._ids, self._clock.now_ms()), batch, doubt)
        finally:
            cursor.close()
        written: list[Doubt | None] = [self._in_savepoint(connection, part) for part in batch.parts()]
        results = [part.result if part else None for part in written]
        appends = len(batch.appends)
        refused = Refused(Code.INTERNAL)
        return Doubt(
            BatchResult(
                [outcome for it in results[:appends] for outcome in (it.outcomes if it else [refused])],
                [mark for it in results[appends:] for mark in (it.marks if it else [refused])],
            ),
            next((part.witness for part in written if part and part.witness is not None), None),
        )

    def _in_savepoint(self, connection: Connection, part: "Batch") -> Doubt | None:
        """None: the database cannot take it. Raises what is not about the command."""
        try:
            with connection.begin_nested():
                return self._apply(connection, part, optimistic=False)
        except Exception as error:
            if unavailable(error) is not None:
                raise
            _log_command(part, error)
            return None


class Batch:
    """What one `submit` asks for."""

    def __init__(self, appends: Sequence[Append], marks: Sequence[Mark] = (), fences: Sequence[Fence] = ()) -> None:
        self.appends = appends
        self.marks = marks
        self.fences = fences
        self.conversations = {append.command.conversation_id for append in appends}
        self.pairs = {(append.command.conversation_id, append.actor) for append in appends}

    def parts(self) -> list["Batch"]:
        """Each command and each mark by itself."""
        return [*(Batch([append]) for append in self.appends), *(Batch((), [mark]) for mark in self.marks)]


def _enter(ledger: Ledger, batch: Batch, doubt: Doubt | None) -> None:
    """Take the batch's locks: offsets, then conversations. Raises Fenced; WasCommitted if `doubt` is none any more."""

    def is_stored() -> bool:
        return doubt is not None and doubt.witness is not None and ledger.is_stored(doubt.witness)

    try:
        move_offsets(ledger.connection, batch.fences)
    except Fenced:
        if is_stored():
            raise WasCommitted from None
        raise
    ledger.preload(batch.conversations, batch.pairs)
    if is_stored():
        raise WasCommitted


def _log_command(batch: Batch, error: Exception) -> None:
    names = [type(append.command).__name__ for append in batch.appends]
    log.error("command_failed", commands=names, error=told(error), exc_info=_shown(error))


def _shown(error: Exception) -> Exception | None:
    """Where it came from, for the log; but engines show in their errors what people wrote."""
    return None if isinstance(wrapped(error), DBAPIError) else error


def _roll_back(connection: Connection, transaction: Transaction) -> None:
    try:
        transaction.rollback()
    except Exception:
        connection.invalidate()
