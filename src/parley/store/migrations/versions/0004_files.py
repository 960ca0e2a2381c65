"""Files: uploads under way, what they became, which messages hold them, and the content they stand for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0004"
down_revision = "0003"
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
        "uploads",
        sa.Column(
            "id", big_id, autoincrement=False, nullable=False, comment="a snowflake: of the file it becomes, too"
        ),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=True, comment="who is told of its progress"),
        sa.Column("name", key(255), nullable=False),
        sa.Column(
            "size", sa.BigInteger(), nullable=False, comment="as declared; counted against the quota from the start"
        ),
        sa.Column("recording", long_text, nullable=False, comment="JSON: what the page that recorded it said of it"),
        sa.Column(
            "client_hash", key(128), nullable=True, comment="an older client's name for it, among its owner's only"
        ),
        sa.Column("chunk_bytes", sa.Integer(), nullable=False, comment="0: in one stretch, from the front"),
        sa.Column("staging", key(64), nullable=False, comment="the folder with its bytes"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_owner_id"), "uploads", ["owner_id"])
    op.create_index(op.f("ix_uploads_expires_at"), "uploads", ["expires_at"])
    op.create_table(
        "blobs",
        sa.Column("id", big_id, autoincrement=False, nullable=False, comment="of the upload that brought it"),
        sa.Column("sha256", key(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("thumbnail", sa.Integer(), nullable=False, comment="its bytes; 0: none"),
        sa.Column("refs", sa.Integer(), nullable=False, comment="files that stand for it"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blobs")),
        sa.UniqueConstraint("sha256", name=op.f("uq_blobs_sha256")),
    )
    op.create_index(op.f("ix_blobs_refs"), "blobs", ["refs"])
    op.create_table(
        "files",
        sa.Column("id", big_id, autoincrement=False, nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("name", key(255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("type", key(127), nullable=False, comment="by its content"),
        sa.Column("blob_id", sa.BigInteger(), nullable=False),
        sa.Column("shown", long_text, nullable=False, comment="JSON: the attachment as messages carry it"),
        sa.Column("held", sa.Integer(), nullable=False, comment="messages that hold it"),
        sa.Column("client_hash", key(128), nullable=True),
        sa.Column(
            "uploaded_size", sa.BigInteger(), nullable=False, comment="before location and the like were removed"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files")),
    )
    op.create_index(op.f("ix_files_owner_id_client_hash"), "files", ["owner_id", "client_hash"])
    op.create_index(op.f("ix_files_held_created_at"), "files", ["held", "created_at"])
    op.create_table(
        "attachments",
        sa.Column("file_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("file_id", "message_id", name=op.f("pk_attachments")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_attachments_message_id"), "attachments", ["message_id"])
