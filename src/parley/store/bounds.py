"""How long anything may take on a database that others share, so that a node that stalls cannot hold them up."""

from sqlalchemy import Connection, Engine, event

from parley.clock import SystemClock
from parley.store.interface import StoreUnavailable

LOCK_MS = 3_000
"""For a lock that another node holds; then the transaction is rolled back and tried again."""
STATEMENT_MS = 8_000
IDLE_MS = 8_000
"""With a transaction open and nothing asked; then the database closes the connection."""
TRANSACTION_MS = 15_000
"""From its first statement; one that comes to its commit later is rolled back instead."""
OVERLAP_MS = TRANSACTION_MS + IDLE_MS + STATEMENT_MS
"""An entry can be seen at most so long after its `changed_at`: the check before the commit was passed at the last
moment, the node stalled, and the commit itself was slow."""

_clock = SystemClock()
_BEGUN = "parley_begun"


class TookTooLong(StoreUnavailable):
    """The transaction was rolled back instead of being committed after `TRANSACTION_MS`."""


def bound_transactions(engine: Engine) -> None:
    """Let no transaction of this engine be committed that has been open for longer."""

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.info[_BEGUN] = _clock.monotonic()

    @event.listens_for(engine, "commit")
    def _commit(connection: Connection) -> None:
        open_for = _clock.monotonic() - connection.info.get(_BEGUN, 0.0)
        if open_for * 1000 > TRANSACTION_MS:
            raise TookTooLong(f"a transaction was open for {open_for:.1f} s")
