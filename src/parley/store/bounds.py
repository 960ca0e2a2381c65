"""How long anything may take on a database that others share, so that a node that stalls cannot hold them up."""

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
