"""What several nodes on one database need: when a conversation last changed, who they are, and how far they came."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0003"
down_revision = "0002"
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
    op.add_column(
        "conversations",
        sa.Column(
            "changed_at",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="by the database's clock, on a shared one: its last entry or change",
        ),
    )
    op.create_index(op.f("ix_conversations_changed_at"), "conversations", ["changed_at"])
    op.create_index(op.f("ix_members_joined_at"), "members", ["joined_at"])
    op.create_table(
        "nodes",
        sa.Column(
            "id", sa.Integer(), autoincrement=False, nullable=False, comment="0..1023: stands in the ids that it makes"
        ),
        sa.Column("owner", key(64), nullable=False, comment="a name made at each start of a process"),
        sa.Column("roles", key(64), nullable=False, comment="gateway, appender"),
        sa.Column("seen_at", sa.BigInteger(), nullable=False, comment="lives while this is recent"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
        comment="the processes that work on this database",
    )
    op.create_table(
        "leases",
        sa.Column("name", key(64), nullable=False, comment="work that one node at a time does"),
        sa.Column("owner", key(64), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "tickets",
        sa.Column("hash", key(64), nullable=False, comment="SHA-256 of the ticket, hex"),
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_tickets")),
        comment="one-time tickets for a WebSocket, where Redis does not keep them",
    )
    op.create_table(
        "log_offsets",
        sa.Column("topic", key(249), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "next_offset",
            sa.BigInteger(),
            nullable=False,
            comment="moved in the transaction of the batch that it ends",
        ),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_log_offsets")),
        comment="up to where commands from Kafka are in the log",
    )
    op.create_table(
        "poison",
        sa.Column("id", big_id, autoincrement=True, nullable=False),
        sa.Column("topic", key(249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", long_text, nullable=False),
        sa.Column("record", long_text, nullable=False, comment="base64"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_poison")),
        comment="records that no appender could take; looked at by people",
    )
    op.create_table(
        "stream_cursors",
        sa.Column("topic", key(249), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="the last entry that the topic surely has"),
        sa.PrimaryKeyConstraint("topic", "conversation_id", name=op.f("pk_stream_cursors")),
    )
