"""Uploads, files, the messages that hold them, and the stored content they stand for; the same on every engine."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from parley.store.tables import BigId, LongText, key, metadata

uploads = Table(
    "uploads",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=False, comment="a snowflake: of the file it becomes, too"),
    Column("owner_id", BigInteger, nullable=False),
    Column("conversation_id", BigInteger, nullable=True, comment="who is told of its progress"),
    Column("name", key(255), nullable=False),
    Column("size", BigInteger, nullable=False, comment="as declared; counted against the quota from the start"),
    Column("recording", LongText, nullable=False, comment="JSON: what the page that recorded it said of it"),
    Column("client_hash", key(128), nullable=True, comment="an older client's name for it, among its owner's only"),
    Column("chunk_bytes", Integer, nullable=False, default=0, comment="0: in one stretch, from the front"),
    Column("staging", key(64), nullable=False, comment="the folder with its bytes"),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index(None, "owner_id"),
    Index(None, "expires_at"),
)

blobs = Table(
    "blobs",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=False, comment="of the upload that brought it"),
    Column("sha256", key(64), nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("thumbnail", Integer, nullable=False, default=0, comment="its bytes; 0: none"),
    Column("refs", Integer, nullable=False, default=0, comment="files that stand for it"),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "refs"),
)

files = Table(
    "files",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=False),
    Column("owner_id", BigInteger, nullable=False),
    Column("name", key(255), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("type", key(127), nullable=False, comment="by its content"),
    Column("blob_id", BigInteger, nullable=False),
    Column("shown", LongText, nullable=False, comment="JSON: the attachment as messages carry it"),
    Column("held", Integer, nullable=False, default=0, comment="messages that hold it"),
    Column("client_hash", key(128), nullable=True),
    Column("uploaded_size", BigInteger, nullable=False, comment="before location and the like were removed"),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "owner_id", "client_hash"),
    Index(None, "held", "created_at"),
)

attachments = Table(
    "attachments",
    metadata,
    Column("file_id", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("conversation_id", BigInteger, nullable=False),
    Index(None, "message_id"),
    sqlite_with_rowid=False,
)
