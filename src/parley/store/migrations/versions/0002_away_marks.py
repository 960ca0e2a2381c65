"""Where clients of the older dialects were when they went away."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

dialect_name = (
    sa.String(16)
    .with_variant(mysql.VARCHAR(16, charset="utf8mb4", collation="utf8mb4_nopad_bin"), "mariadb")
    .with_variant(mysql.VARCHAR(16, charset="utf8mb4", collation="utf8mb4_0900_bin"), "mysql")
    .with_variant(postgresql.VARCHAR(16, collation="C"), "postgresql")
)


def upgrade() -> None:
    op.create_table(
        "away_marks",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("dialect", dialect_name, nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "seq", sa.BigInteger(), nullable=False, comment="the last entry that this dialect's client surely got"
        ),
        sa.PrimaryKeyConstraint("user_id", "dialect", "conversation_id", name=op.f("pk_away_marks")),
        sqlite_with_rowid=False,
    )
