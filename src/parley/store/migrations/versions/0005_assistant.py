"""The assistant: answers that grow, budgets and memories; bots and webhooks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def key(length: int) -> sa.types.TypeEngine[str]:
    return (
        sa.String(length)
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_nopad_bin"), "mariadb")
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_0900_bin"), "mysql")
        .with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")
    )


long_text = (
    sa.Text()
    .with_variant(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_nopad_bin"), "mariadb")
    .with_variant(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_0900_bin"), "mysql")
)
big_id = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "assistant_answers",
        sa.Column("question_id", big_id, autoincrement=False, nullable=False, comment="the message that asks"),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("question_seq", sa.BigInteger(), nullable=False),
        sa.Column("asker_id", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=True, comment="the answer; null while it waits in the line"),
        sa.Column("draft", long_text, nullable=False, comment="what was answered so far, about a second old"),
        sa.Column("cancelled", sa.Boolean(), nullable=False, comment="asked for on another node"),
        sa.Column("owner", key(64), nullable=False, comment="the process that answers it"),
        sa.Column("until", sa.BigInteger(), nullable=False, comment="its lease, by the database's clock"),
        sa.Column("asked_at", sa.BigInteger(), nullable=False, comment="by the database's clock"),
        sa.PrimaryKeyConstraint("question_id", name=op.f("pk_assistant_answers")),
        comment="questions that wait and answers that grow; a finished one has no row",
    )
    op.create_table(
        "assistant_usage",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="0: all guests together"),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False, comment="days since 1970, UTC"),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False, comment="used, and reserved by what runs"),
        sa.PrimaryKeyConstraint("user_id", "day", name=op.f("pk_assistant_usage")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "assistant_memories",
        sa.Column("id", key(36), nullable=False, comment="a UUID"),
        sa.Column("user_id", sa.BigInteger(), nullable=False, comment="0: all guests together"),
        sa.Column("turns", long_text, nullable=False, comment="JSON: what was asked and answered, the oldest first"),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assistant_memories")),
        comment="private conversations with the assistant over HTTP",
    )
    op.create_index(op.f("ix_assistant_memories_user_id"), "assistant_memories", ["user_id"])
    op.create_index(op.f("ix_assistant_memories_used_at"), "assistant_memories", ["used_at"])
    op.create_table(
        "bots",
        sa.Column("user_id", big_id, autoincrement=False, nullable=False, comment="its account, whose role is bot"),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_bots")),
    )
    op.create_index(op.f("ix_bots_owner_id"), "bots", ["owner_id"])
    op.create_table(
        "webhooks",
        sa.Column("id", big_id, autoincrement=True, nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False, comment="the account it posts as, whose role is webhook"),
        sa.Column("secret_hash", key(64), nullable=False, comment="SHA-256 of the secret, hex"),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index(op.f("ix_webhooks_conversation_id"), "webhooks", ["conversation_id"])
