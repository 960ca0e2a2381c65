"""The threads that talk SQL: one writer, a few readers.

One writer connection, and only it checkpoints, because SQLite before 3.51.3 has a race in WAL resets between
connections that checkpoint (integrity). On the other engines the same shape keeps group commit simple.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from parley.clock import SystemClock
from parley.store import changes
from parley.store.failures import Fault, fault_of, unavailable
from parley.store.interface import StoreBroken, StoreUnavailable

log = structlog.get_logger()
_clock = SystemClock()

T = TypeVar("T")

WRITES_WAITING = 1000
"""Writes beside the log that may wait for the writer; the next one is StoreUnavailable."""
READS_WAITING = 20_000
"""Questions that may wait for a reader; the next one is StoreUnavailable. All clients of a node coming back at once."""
AWAY_S = 1.0
"""After somebody has waited in vain for the database: so long nobody else does, and what waits is told so at once."""


class Writer:
    """A thread with the one connection that writes. Jobs run one after another in the order they came."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[Callable[[Connection], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="parley-writer", daemon=True)
        self._gate = threading.Lock()
        self._closed = False
        self._unfinished = 0
        self._connection: Connection | None = None
        self.on_broken: Callable[[StoreBroken], None] = lambda _: None
        """Called once, on whatever thread meets it."""
        self._away_until = 0.0
        self.broken: StoreBroken | None = None
        """Set once an fsync has failed. The next one may succeed and prove nothing, so nothing is written any more."""

    def start(self) -> None:
        """Blocks until it is connected. Raises the driver's error if it cannot be."""
        self._connection = self._engine.connect()
        self._thread.start()

    def submit(self, job: Callable[[Connection], None]) -> None:
        """`job` gets the connection with no transaction open and leaves it so. Raises StoreUnavailable after `stop`."""
        with self._gate:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            self._unfinished += 1
            self._jobs.put(job)

    def at_rest(self) -> Connection | None:
        """The connection, if no job runs or waits. Whoever submits jobs may use it until they submit the next one.

        Only right where all jobs come from one thread, as here they do: nobody else can begin one meanwhile.
        """
        with self._gate:
            free = self._unfinished == 0 and not self._closed and self.broken is None
        return self._connection if free else None

    @property
    def waiting(self) -> int:
        return self._jobs.qsize()

    def stop(self) -> None:
        """Finish what was submitted, then close the connection. Blocks."""
        with self._gate:
            self._closed = True
            self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def failed(self, connection: Connection, error: Exception) -> StoreUnavailable | None:
        """For whoever has the connection, when a transaction has failed: `failures.unavailable`, and nothing stays
        open."""
        found = unavailable(error)
        if fault_of(error) is Fault.LOST:
            # Statements that go past SQLAlchemy do not tell it.
            connection.invalidate()
        if isinstance(found, StoreBroken) and self.broken is None:
            self.broken = found
            self.on_broken(found)
        try:
            # SQLAlchemy takes a failed COMMIT for the end of the transaction; the driver need not.
            if not connection.invalidated:
                connection.connection.rollback()
        except Exception:
            connection.invalidate()
        return found

    def gave_up(self, error: Exception) -> None:
        """For whoever has the connection: this is the last word on what was tried."""
        if fault_of(error) is Fault.LOST:
            self._away_until = _clock.monotonic() + AWAY_S

    def refuse(self) -> None:
        """Raises StoreUnavailable where there is no point in trying."""
        if self.broken is not None:
            raise self.broken
        if _clock.monotonic() < self._away_until:
            raise StoreUnavailable("the database is away")

    def _run(self) -> None:
        assert self._connection is not None
        # After a lost connection SQLAlchemy makes a new one by itself when the next transaction begins.
        with self._connection as connection:
            while (job := self._jobs.get()) is not None:
                try:
                    job(connection)
                except Exception:
                    log.exception("writer_job_failed")
                with self._gate:
                    self._unfinished -= 1
            self._connection = None


class SqlDatabase:
    """`Database` over a writer's engine and a readers' engine."""

    def __init__(self, writer: Engine, readers: Engine, reader_threads: int = 4) -> None:
        self.writer = Writer(writer)
        self._readers = readers
        self._pool = ThreadPoolExecutor(reader_threads, thread_name_prefix="parley-reader")
        self._reading = 0

    def start(self) -> None:
        self.writer.start()

    async def read(self, question: Callable[[Connection], T]) -> T:
        if self._reading >= READS_WAITING:
            raise StoreUnavailable("too many reads are waiting")
        self._reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, question)
        finally:
            self._reading -= 1

    def _read(self, question: Callable[[Connection], T]) -> T:
        try:
            try:
                return self._ask(question)
            except DBAPIError as error:
                if fault_of(error) is not Fault.LOST:
                    raise
                # One that lay in the pool since before the database was away; another one is made.
                return self._ask(question)
        except DBAPIError as error:
            raise (unavailable(error) or error) from error

    def _ask(self, question: Callable[[Connection], T]) -> T:
        with self._readers.connect() as connection:
            try:
                with connection.begin():
                    return question(connection)
            except DBAPIError as error:
                if fault_of(error) is Fault.LOST:
                    connection.invalidate()
                raise

    async def write(self, change: Callable[[Connection], T]) -> T:
        if self.writer.waiting >= WRITES_WAITING:
            raise StoreUnavailable("too many writes are waiting")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: Exception | None) -> None:
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]  # None only where T is None

        def job(connection: Connection) -> None:
            try:
                self.writer.refuse()
                result = changes.run(self.writer, connection, change)
            except Exception as error:
                loop.call_soon_threadsafe(settle, None, self.writer.failed(connection, error) or error)
            else:
                loop.call_soon_threadsafe(settle, result, None)

        self.writer.submit(job)
        return await done

    def stop(self) -> None:
        """Blocks until every write is done; readers close before the writer, so that the last one to close
        checkpoints."""
        self._pool.shutdown(wait=True)
        self._readers.dispose()
        self.writer.stop()
