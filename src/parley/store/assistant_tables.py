"""What the assistant is doing, what it may still do today, what it remembers; and bots with their webhooks.

Times of leases are the database's own clock; the others are those of the node that wrote them.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table

from parley.store.tables import BigId, LongText, key, metadata

answers = Table(
    "assistant_answers",
    metadata,
    Column("question_id", BigId, primary_key=True, autoincrement=False, comment="the message that asks"),
    Column("conversation_id", BigInteger, nullable=False),
    Column("question_seq", BigInteger, nullable=False),
    Column("asker_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=True, comment="the answer; null while it waits in the line"),
    Column("draft", LongText, nullable=False, comment="what was answered so far, about a second old"),
    Column("cancelled", Boolean, nullable=False, default=False, comment="asked for on another node"),
    Column("owner", key(64), nullable=False, comment="the process that answers it"),
    Column("until", BigInteger, nullable=False, comment="its lease, by the database's clock"),
    Column("asked_at", BigInteger, nullable=False, comment="by the database's clock"),
    comment="questions that wait and answers that grow; a finished one has no row",
)

usage = Table(
    "assistant_usage",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False, comment="0: all guests together"),
    Column("day", Integer, primary_key=True, autoincrement=False, comment="days since 1970, UTC"),
    Column("requests", Integer, nullable=False),
    Column("tokens", BigInteger, nullable=False, comment="used, and reserved by what runs"),
    sqlite_with_rowid=False,
)

memories = Table(
    "assistant_memories",
    metadata,
    Column("id", key(36), primary_key=True, comment="a UUID"),
    Column("user_id", BigInteger, nullable=False, comment="0: all guests together"),
    Column("turns", LongText, nullable=False, comment="JSON: what was asked and answered, the oldest first"),
    Column("used_at", BigInteger, nullable=False),
    Index(None, "user_id"),
    Index(None, "used_at"),
    comment="private conversations with the assistant over HTTP",
)

bots = Table(
    "bots",
    metadata,
    Column("user_id", BigId, primary_key=True, autoincrement=False, comment="its account, whose role is bot"),
    Column("owner_id", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "owner_id"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("conversation_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False, comment="the account it posts as, whose role is webhook"),
    Column("secret_hash", key(64), nullable=False, comment="SHA-256 of the secret, hex"),
    Column("created_by", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=True),
    Index(None, "conversation_id"),
)

__all__ = ["answers", "bots", "memories", "metadata", "usage", "webhooks"]
