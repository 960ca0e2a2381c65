"""What only a database shared by several nodes needs, beside the schema of `tables`; the same on every engine.

Times in here are the database's own clock, never a node's: nodes' clocks differ, and step back.
"""

from sqlalchemy import BigInteger, Column, Integer, Table

from parley.store.tables import BigId, LongText, key, metadata

nodes = Table(
    "nodes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="0..1023: stands in the ids that it makes"),
    Column("owner", key(64), nullable=False, comment="a name made at each start of a process"),
    Column("roles", key(64), nullable=False, comment="gateway, appender"),
    Column("seen_at", BigInteger, nullable=False, comment="lives while this is recent"),
    comment="the processes that work on this database",
)

leases = Table(
    "leases",
    metadata,
    Column("name", key(64), primary_key=True, comment="work that one node at a time does"),
    Column("owner", key(64), nullable=False),
    Column("until", BigInteger, nullable=False),
)

tickets = Table(
    "tickets",
    metadata,
    Column("hash", key(64), primary_key=True, comment="SHA-256 of the ticket, hex"),
    Column("session_id", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    comment="one-time tickets for a WebSocket, where Redis does not keep them",
)

log_offsets = Table(
    "log_offsets",
    metadata,
    Column("topic", key(249), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False, comment="moved in the transaction of the batch that it ends"),
    comment="up to where commands from Kafka are in the log",
)

poison = Table(
    "poison",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("topic", key(249), nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", LongText, nullable=False),
    Column("record", LongText, nullable=False, comment="base64"),
    comment="records that no appender could take; looked at by people",
)

stream_cursors = Table(
    "stream_cursors",
    metadata,
    Column("topic", key(249), primary_key=True),
    Column("conversation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False, comment="the last entry that the topic surely has"),
)
