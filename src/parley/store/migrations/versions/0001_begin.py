"""The first schema: accounts, conversations, the log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def key(length: int) -> TypeEngine[str]:
    """Text that is compared as bytes, as it was when this migration was written."""
    return (
        sa.String(length)
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_nopad_bin"), "mariadb")
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_0900_bin"), "mysql")
        .with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")
    )


LongText = (
    sa.Text()
    .with_variant(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_nopad_bin"), "mariadb")
    .with_variant(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_0900_bin"), "mysql")
)
BigId = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("key", key(64), nullable=False),
        sa.Column("value", LongText, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
        comment="epoch and other facts about this database",
    )

    op.create_table(
        "users",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("username", key(64), nullable=False),
        sa.Column("username_key", key(128), nullable=False, comment="NFKC, casefolded"),
        sa.Column("display_name", key(128), nullable=False),
        sa.Column("password_hash", key(255), nullable=True, comment="argon2id; null: no login by password"),
        sa.Column("role", key(16), nullable=False),
        sa.Column("guest", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=True),
        sa.Column("deactivated_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username_key", name=op.f("uq_users_username_key")),
    )

    op.create_table(
        "sessions",
        sa.Column("id", BigId, autoincrement=False, nullable=False, comment="a snowflake"),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", key(16), nullable=False, comment="native, cookie, legacy, bot"),
        sa.Column("secret", key(64), nullable=False, comment="what its refresh tokens and cookie are made from"),
        sa.Column("generation", sa.Integer(), nullable=False, comment="of the refresh token that is good now"),
        sa.Column("rotated_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("user_agent", key(255), nullable=False),
        sa.Column("address", key(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"])

    op.create_table(
        "invites",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("code_hash", key(64), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invites")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_invites_code_hash")),
    )

    op.create_table(
        "conversations",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("kind", key(16), nullable=False),
        sa.Column("name", key(64), nullable=True, comment="a room's unique short name"),
        sa.Column("title", key(255), nullable=True),
        sa.Column("join_policy", key(16), nullable=False),
        sa.Column("lobby", sa.Boolean(), nullable=False, comment="membership is implied, there are no member rows"),
        sa.Column("low_user", sa.BigInteger(), nullable=True, comment="a direct conversation's two users"),
        sa.Column("high_user", sa.BigInteger(), nullable=True),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_ordinal", sa.BigInteger(), nullable=False),
        sa.Column("last_message_id", sa.BigInteger(), nullable=True),
        sa.Column("member_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
        sa.UniqueConstraint("name", name=op.f("uq_conversations_name")),
        sa.UniqueConstraint("low_user", "high_user", name=op.f("uq_conversations_low_user_high_user")),
    )

    op.create_table(
        "members",
        sa.Column("conversation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("role", key(16), nullable=False),
        sa.Column("joined_seq", sa.BigInteger(), nullable=False),
        sa.Column("joined_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "user_id", name=op.f("pk_members")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_members_user_id"), "members", ["user_id"])

    op.create_table(
        "marks",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("read_seq", sa.BigInteger(), nullable=False),
        sa.Column("read_ordinal", sa.BigInteger(), nullable=False),
        sa.Column("delivered_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "conversation_id", name=op.f("pk_marks")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_marks_conversation_id"), "marks", ["conversation_id"])

    op.create_table(
        "entries",
        sa.Column(
            "id", BigId, autoincrement=False, nullable=False, comment="a snowflake: of message.created, its message's"
        ),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "seq",
            sa.BigInteger(),
            nullable=True,
            comment="null: kept answer of a command that changed nothing",
        ),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("client_id", key(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column(
            "message_id", sa.BigInteger(), nullable=True, comment="the message it changes; null for message.created"
        ),
        sa.Column("user_id", sa.BigInteger(), nullable=True, comment="the member it is about"),
        sa.Column("edit", sa.Integer(), nullable=False, comment="of message.created: how often it was edited"),
        sa.Column(
            "edited_seq",
            sa.BigInteger(),
            nullable=True,
            comment="of message.created: the entry with its present text",
        ),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("body", LongText, nullable=False, comment="JSON, as the native protocol shows it"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entries")),
        sa.UniqueConstraint("conversation_id", "seq", name=op.f("uq_entries_conversation_id_seq")),
        sa.UniqueConstraint("client_id", "actor_id", name=op.f("uq_entries_client_id_actor_id")),
    )
    op.create_index(
        op.f("ix_entries_message_id"),
        "entries",
        ["message_id"],
        sqlite_where=sa.text("message_id IS NOT NULL"),
        postgresql_where=sa.text("message_id IS NOT NULL"),
    )

    op.create_table(
        "reactions",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("emoji", key(64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="of its reaction.added"),
        sa.PrimaryKeyConstraint("message_id", "user_id", "emoji", name=op.f("pk_reactions")),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "pins",
        sa.Column("conversation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="of its pin.added"),
        sa.PrimaryKeyConstraint("conversation_id", "message_id", name=op.f("pk_pins")),
        sqlite_with_rowid=False,
    )
