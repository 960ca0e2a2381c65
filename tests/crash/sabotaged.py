"""A server with one promise taken out, to see that the crash tests notice: `python sabotaged.py NAME serve …`.

The product has no switch for any of this. Each function below replaces a part of it before the command runs.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from alembic.operations import Operations
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import UniqueConstraint

from parley.gateway.connection import Connection
from parley.gateway.feed import Feed
from parley.gateway.source import ServiceSource
from parley.protocol.errors import Close
from parley.store import batches, ledger, sqlite
from parley.store.interface import Append, Fence, Mark


def unsynced() -> None:
    """Commits are not synced to the disk."""
    honest = sqlite._engine

    def engine(file: Any, pragmas: tuple[str, ...], *rest: Any, **named: Any) -> Any:
        return honest(file, tuple(pragma.replace("=FULL", "=NORMAL") for pragma in pragmas), *rest, **named)

    sqlite._engine = engine


def early_ack() -> None:
    """A batch is acknowledged and published a moment before it is committed."""

    def submit(
        self: batches.SqlBatches,
        appends: Sequence[Append],
        marks: Sequence[Mark],
        done: batches.Done,
        fences: Sequence[Fence] = (),
    ) -> None:
        def work(connection: SqlConnection) -> None:
            with connection.begin():
                done(self._apply(connection, batches.Batch(appends, marks, fences), optimistic=False).result)
                time.sleep(0.02)

        self._writer.submit(work)

    batches.SqlBatches.submit = submit  # type: ignore[method-assign]


def no_unique() -> None:
    """A client_id is neither unique in the schema nor looked for."""
    create_table = Operations.create_table

    def create(self: Operations, name: str, *columns: Any, **more: Any) -> Any:
        kept = [
            column
            for column in columns
            if not (isinstance(column, UniqueConstraint) and "client_id" in str(column.name))
        ]
        return create_table(self, name, *kept, **more)

    Operations.create_table = create  # type: ignore[assignment,method-assign]
    ledger.Ledger.answer = lambda *_, **__: None  # type: ignore[method-assign]


def careless_resume() -> None:
    """Nobody looks whether something was published between the last page of a resume and the subscription."""
    honest = ServiceSource.entries_after

    async def entries_after(self: ServiceSource, *arguments: Any) -> Any:
        page = await honest(self, *arguments)
        await asyncio.sleep(0.02)
        return page

    ServiceSource.entries_after = entries_after  # type: ignore[assignment,method-assign]
    Feed.behind = lambda *_: False  # type: ignore[method-assign]


def rude_drain() -> None:
    """A draining server does not tell its clients to come back."""
    honest = Connection.close

    def close(self: Connection, code: int, reason: str = "") -> None:
        honest(self, Close.GOING_AWAY if code == Close.DRAINING else code, reason)

    Connection.close = close  # type: ignore[method-assign]


SABOTAGES: dict[str, Callable[[], None]] = {
    sabotage.__name__: sabotage for sabotage in (unsynced, early_ack, no_unique, careless_resume, rude_drain)
}

if __name__ == "__main__":
    SABOTAGES[sys.argv.pop(1)]()
    from parley.cli import main

    main()
