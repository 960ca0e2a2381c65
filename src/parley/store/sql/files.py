"""Questions and changes about uploads, files, who may read them, and the content they stand for. Each function is part
of its caller's transaction."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, delete, exists, func, insert, or_, select, update

from parley.protocol.types import ConversationId, MessageId, UserId
from parley.store.files_tables import attachments, blobs, files, uploads
from parley.store.tables import conversations, members, meta, users

Row = tuple[Any, ...]


class UploadRow(msgspec.Struct, frozen=True):
    """An upload that is not a file yet."""

    id: int
    owner_id: UserId
    conversation_id: ConversationId | None
    name: str
    size: int
    recording: str
    client_hash: str | None
    chunk_bytes: int
    staging: str
    created_at: int
    expires_at: int


class FileRow(msgspec.Struct, frozen=True):
    """A complete file and where its content is."""

    id: int
    owner_id: UserId
    name: str
    size: int
    type: str
    blob_id: int
    shown: str
    held: int
    uploaded_size: int
    sha256: str
    thumbnail: int


class BlobRow(msgspec.Struct, frozen=True):
    """Stored content."""

    id: int
    sha256: str


_u, _f, _b, _a = uploads.c, files.c, blobs.c, attachments.c
_UPLOAD = select(
    _u.id, _u.owner_id, _u.conversation_id, _u.name, _u.size, _u.recording, _u.client_hash, _u.chunk_bytes, _u.staging,
    _u.created_at, _u.expires_at,
)  # fmt: skip
_FILE = select(
    _f.id, _f.owner_id, _f.name, _f.size, _f.type, _f.blob_id, _f.shown, _f.held, _f.uploaded_size, _b.sha256,
    _b.thumbnail,
).join_from(files, blobs, _b.id == _f.blob_id)  # fmt: skip


# Uploads


def upload(connection: Connection, upload_id: int) -> UploadRow | None:
    row = connection.execute(_UPLOAD.where(_u.id == upload_id)).one_or_none()
    return UploadRow(*row) if row else None


def upload_by_hash(connection: Connection, owner: UserId, client_hash: str, size: int) -> UploadRow | None:
    """The newest upload of the owner's under this name of their own."""
    row = connection.execute(
        _UPLOAD.where(_u.owner_id == owner, _u.client_hash == client_hash, _u.size == size).order_by(_u.id.desc())
    ).first()
    return UploadRow(*row) if row else None


def open_uploads(connection: Connection, owner: UserId) -> int:
    return connection.execute(select(func.count()).select_from(uploads).where(_u.owner_id == owner)).scalar_one()


def add_upload(connection: Connection, row: UploadRow) -> None:
    connection.execute(insert(uploads).values(**msgspec.structs.asdict(row)))


def extend(connection: Connection, upload_id: int, expires_at: int) -> None:
    connection.execute(update(uploads).where(_u.id == upload_id).values(expires_at=expires_at))


def drop_upload(connection: Connection, upload_id: int) -> bool:
    """False: it was gone, or had become a file."""
    return connection.execute(delete(uploads).where(_u.id == upload_id)).rowcount > 0


def expired(connection: Connection, now_ms: int, limit: int) -> list[int]:
    return list(connection.scalars(select(_u.id).where(_u.expires_at < now_ms).order_by(_u.expires_at).limit(limit)))


def uploads_among(connection: Connection, ids: Collection[int]) -> set[int]:
    return set(connection.scalars(select(_u.id).where(_u.id.in_(list(ids)))))


# Quotas


def used_by(connection: Connection, owner: UserId) -> int:
    """Bytes of the owner's files, and of what they have said that they will bring. Locks the owner's row where rows are
    locked, so that two uploads at once cannot both take the last room."""
    connection.execute(select(users.c.id).where(users.c.id == owner).with_for_update())
    done = connection.execute(select(func.coalesce(func.sum(_f.size), 0)).where(_f.owner_id == owner)).scalar_one()
    coming = connection.execute(select(func.coalesce(func.sum(_u.size), 0)).where(_u.owner_id == owner)).scalar_one()
    return int(done) + int(coming)


def used_in_all(connection: Connection) -> int:
    """Bytes of all stored content, each once, and of all uploads. Two at once wait for each other, as above."""
    connection.execute(select(meta.c.key).where(meta.c.key == "epoch").with_for_update())
    done = connection.execute(select(func.coalesce(func.sum(_b.size + _b.thumbnail), 0))).scalar_one()
    coming = connection.execute(select(func.coalesce(func.sum(_u.size), 0))).scalar_one()
    return int(done) + int(coming)


# Files


def file(connection: Connection, file_id: int) -> FileRow | None:
    row = connection.execute(_FILE.where(_f.id == file_id)).one_or_none()
    return FileRow(*row) if row else None


def file_by_hash(connection: Connection, owner: UserId, client_hash: str, size: int) -> FileRow | None:
    row = connection.execute(
        _FILE.where(_f.owner_id == owner, _f.client_hash == client_hash, _f.uploaded_size == size).order_by(
            _f.id.desc()
        )
    ).first()
    return FileRow(*row) if row else None


def add_file(
    connection: Connection,
    upload: UploadRow,
    *,
    name: str,
    size: int,
    type_: str,
    blob_id: int,
    shown: str,
    now_ms: int,
) -> None:
    connection.execute(
        insert(files).values(
            id=upload.id, owner_id=upload.owner_id, name=name, size=size, type=type_, blob_id=blob_id, shown=shown,
            held=0, client_hash=upload.client_hash, uploaded_size=upload.size, created_at=now_ms,
        )
    )  # fmt: skip


def _held_where(user: UserId) -> Any:
    """The file is in a conversation that the user is in: a member of it, or it is the lobby."""
    return exists(
        select(_a.file_id)
        .join(conversations, conversations.c.id == _a.conversation_id)
        .outerjoin(members, and_(members.c.conversation_id == _a.conversation_id, members.c.user_id == user))
        .where(_a.file_id == _f.id, or_(members.c.user_id.is_not(None), conversations.c.lobby.is_(True)))
    )


def readable(connection: Connection, file_id: int, user: UserId) -> FileRow | None:
    """The file, if the user may read it at this moment: by a conversation that holds it, or because it is theirs and
    none does."""
    row = connection.execute(
        _FILE.where(_f.id == file_id, or_(and_(_f.owner_id == user, _f.held == 0), _held_where(user)))
    ).one_or_none()
    return FileRow(*row) if row else None


def attachable(connection: Connection, ids: Sequence[int], user: UserId) -> dict[int, str]:
    """Those of `ids` that the user may put into a message, with their JSON: their own, and what they may read now."""
    rows = connection.execute(
        select(_f.id, _f.shown)
        .where(_f.id.in_(list(ids)), or_(_f.owner_id == user, _held_where(user)))
        .order_by(_f.id)
        .with_for_update()
    )
    return {row[0]: row[1] for row in rows}


def attach(connection: Connection, ids: Sequence[int], message_id: MessageId, conversation_id: ConversationId) -> None:
    """A message holds these files from now on."""
    connection.execute(update(files).where(_f.id.in_(list(ids))).values(held=_f.held + 1))
    connection.execute(
        insert(attachments),
        [{"file_id": file_id, "message_id": message_id, "conversation_id": conversation_id} for file_id in ids],
    )


def detach(connection: Connection, message_id: MessageId) -> None:
    """A message was emptied: it holds no file any more, and what no other one holds is gone with it."""
    ids = sorted(connection.scalars(select(_a.file_id).where(_a.message_id == message_id)))
    if not ids:
        return
    connection.execute(delete(attachments).where(_a.message_id == message_id))
    connection.execute(update(files).where(_f.id.in_(ids)).values(held=_f.held - 1))
    for file_id in ids:
        drop_file(connection, file_id)


def drop_file(connection: Connection, file_id: int) -> bool:
    """Forget a file that no message holds, and let go of its content. False: one does, or it is gone."""
    blob_id = connection.execute(select(_f.blob_id).where(_f.id == file_id)).scalar_one_or_none()
    if blob_id is None or not connection.execute(delete(files).where(_f.id == file_id, _f.held == 0)).rowcount:
        return False
    connection.execute(update(blobs).where(_b.id == blob_id).values(refs=_b.refs - 1))
    return True


def unheld(connection: Connection, before_ms: int, limit: int) -> list[int]:
    """Files that nobody has put into a message since they came."""
    return list(
        connection.scalars(
            select(_f.id).where(_f.held == 0, _f.created_at < before_ms).order_by(_f.created_at).limit(limit)
        )
    )


# Content


def blob_of(connection: Connection, sha256: str) -> BlobRow | None:
    row = connection.execute(select(_b.id, _b.sha256).where(_b.sha256 == sha256)).one_or_none()
    return BlobRow(*row) if row else None


def refer(connection: Connection, blob_id: int) -> bool:
    """One more file stands for it. False: it has been swept meanwhile. Where rows are locked, a sweep that waited for
    this sees the new count."""
    return connection.execute(update(blobs).where(_b.id == blob_id).values(refs=_b.refs + 1)).rowcount > 0


def add_blob(connection: Connection, blob: BlobRow, size: int, thumbnail: int, now_ms: int) -> None:
    """Content that is safely stored, with one file that stands for it. Raises IntegrityError if a row was faster."""
    connection.execute(
        insert(blobs).values(id=blob.id, sha256=blob.sha256, size=size, thumbnail=thumbnail, refs=1, created_at=now_ms)
    )


def unreferred(connection: Connection, limit: int) -> list[BlobRow]:
    rows = connection.execute(select(_b.id, _b.sha256).where(_b.refs == 0).order_by(_b.id).limit(limit))
    return [BlobRow(*row) for row in rows]


def drop_blob(connection: Connection, blob_id: int) -> bool:
    """Forget content that nothing stands for. Its bytes may go once this is committed, because a new upload of the same
    is stored under an id of its own."""
    return connection.execute(delete(blobs).where(_b.id == blob_id, _b.refs == 0)).rowcount > 0


def blobs_among(connection: Connection, ids: Collection[int]) -> set[int]:
    return set(connection.scalars(select(_b.id).where(_b.id.in_(list(ids)))))
