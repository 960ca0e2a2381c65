"""The schema, the same on SQLite, PostgreSQL and MariaDB. Migrations make it; a test holds the two together.

Times are integer milliseconds since 1970 UTC (MariaDB's own types round). Keys compare as bytes everywhere: MariaDB's
default collation would make all emoji equal, and a new message would be answered as a duplicate.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


def key(length: int) -> TypeEngine[str]:
    """Text that is compared as bytes, to the last space: `utf8mb4_bin` would pad, and the collations that do not have
    other names on MariaDB and MySQL."""
    return (
        String(length)
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_nopad_bin"), "mariadb")
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_0900_bin"), "mysql")
        .with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")
    )


LongText = (
    Text()
    .with_variant(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_nopad_bin"), "mariadb")
    .with_variant(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_0900_bin"), "mysql")
)
BigId = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
"""SQLite makes only `INTEGER PRIMARY KEY` the row's own id, and with it inserts in id order append to the table."""

meta = Table(
    "meta",
    metadata,
    Column("key", key(64), primary_key=True),
    Column("value", LongText, nullable=False),
    comment="epoch and other facts about this database",
)

users = Table(
    "users",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("username", key(64), nullable=False),
    Column("username_key", key(128), nullable=False, comment="NFKC, casefolded"),
    Column("display_name", key(128), nullable=False),
    Column("password_hash", key(255), nullable=True, comment="argon2id; null: no login by password"),
    Column("role", key(16), nullable=False),
    Column("guest", Boolean, nullable=False, default=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_seen_at", BigInteger, nullable=True),
    Column("deactivated_at", BigInteger, nullable=True),
    UniqueConstraint("username_key"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=False, comment="a snowflake"),
    Column("user_id", BigInteger, nullable=False),
    Column("kind", key(16), nullable=False, comment="native, cookie, legacy, bot"),
    Column("secret", key(64), nullable=False, comment="what its refresh tokens and cookie are made from"),
    Column("generation", Integer, nullable=False, default=0, comment="of the refresh token that is good now"),
    Column("rotated_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=True),
    Column("user_agent", key(255), nullable=False, default=""),
    Column("address", key(64), nullable=False, default=""),
    Index(None, "user_id"),
)

invites = Table(
    "invites",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("code_hash", key(64), nullable=False, unique=True),
    Column("created_by", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("used", Integer, nullable=False, default=0),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("kind", key(16), nullable=False),
    Column("name", key(64), nullable=True, comment="a room's unique short name"),
    Column("title", key(255), nullable=True),
    Column("join_policy", key(16), nullable=False),
    Column("lobby", Boolean, nullable=False, default=False, comment="membership is implied, there are no member rows"),
    Column("low_user", BigInteger, nullable=True, comment="a direct conversation's two users"),
    Column("high_user", BigInteger, nullable=True),
    Column("last_seq", BigInteger, nullable=False, default=0),
    Column("last_ordinal", BigInteger, nullable=False, default=0),
    Column("last_message_id", BigInteger, nullable=True),
    Column("member_count", Integer, nullable=False, default=0),
    Column("created_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger, nullable=True),
    Column(
        "changed_at",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="by the database's clock, on a shared one: its last entry or change",
    ),
    Index(None, "changed_at"),
    UniqueConstraint("name"),
    UniqueConstraint("low_user", "high_user"),
)

members = Table(
    "members",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("role", key(16), nullable=False),
    Column("joined_seq", BigInteger, nullable=False),
    Column("joined_at", BigInteger, nullable=False),
    Index(None, "user_id"),
    Index(None, "joined_at"),
    sqlite_with_rowid=False,
)

marks = Table(
    "marks",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("conversation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("read_seq", BigInteger, nullable=False, default=0),
    Column("read_ordinal", BigInteger, nullable=False, default=0),
    Column("delivered_seq", BigInteger, nullable=False, default=0),
    Index(None, "conversation_id"),
    sqlite_with_rowid=False,
)

entries = Table(
    "entries",
    metadata,
    Column(
        "id", BigId, primary_key=True, autoincrement=False, comment="a snowflake: of message.created, its message's"
    ),
    Column("conversation_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=True, comment="null: kept answer of a command that changed nothing"),
    Column("ordinal", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("actor_id", BigInteger, nullable=False),
    Column("client_id", key(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=True, comment="the message it changes; null for message.created"),
    Column("user_id", BigInteger, nullable=True, comment="the member it is about"),
    Column("edit", Integer, nullable=False, default=0, comment="of message.created: how often it was edited"),
    Column("edited_seq", BigInteger, nullable=True, comment="of message.created: the entry with its present text"),
    Column("deleted", Boolean, nullable=False, default=False),
    Column("body", LongText, nullable=False, comment="JSON, as the native protocol shows it"),
    UniqueConstraint("conversation_id", "seq"),
    # client_id first: UUIDv7s grow with time, so all actors' newest lie on one page. By actor first it would be a page
    # each, and most of what a commit writes.
    UniqueConstraint("client_id", "actor_id"),
)
# Only changes of messages are in it: as a full index it would be a fourth tree to write for every message.
Index(
    "ix_entries_message_id",
    entries.c.message_id,
    sqlite_where=entries.c.message_id.is_not(None),
    postgresql_where=entries.c.message_id.is_not(None),
)

reactions = Table(
    "reactions",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("emoji", key(64), primary_key=True),
    Column("seq", BigInteger, nullable=False, comment="of its reaction.added"),
    sqlite_with_rowid=False,
)

pins = Table(
    "pins",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False, comment="of its pin.added"),
    sqlite_with_rowid=False,
)

away_marks = Table(
    "away_marks",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("dialect", key(16), primary_key=True),
    Column("conversation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False, comment="the last entry that this dialect's client surely got"),
    sqlite_with_rowid=False,
)
