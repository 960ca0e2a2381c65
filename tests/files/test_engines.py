"""The questions and changes about files are the same on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, insert, select

from parley.protocol.types import ConversationId, MessageId, UserId
from parley.store.files_tables import blobs
from parley.store.migrate import upgrade
from parley.store.sql import files as sql
from parley.store.sql.files import BlobRow, UploadRow
from parley.store.sqlite import writer_engine
from parley.store.tables import conversations, members, users

ANN, BOB, GROUP = UserId(1), UserId(2), ConversationId(77)


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        made = writer_engine(tmp_path / "parley.db")
        upgrade(made, now_ms=1)
    else:
        made = create_engine(request.getfixturevalue(f"migrated_{request.param}_url"))
    yield made
    made.dispose()


def row(number: int, owner: UserId = ANN, **more: object) -> UploadRow:
    given = {
        "id": number, "owner_id": owner, "conversation_id": None, "name": "猫 🐈.png", "size": 100, "recording": "{}",
        "client_hash": None, "chunk_bytes": 0, "staging": "s", "created_at": 5, "expires_at": 50,
    }  # fmt: skip
    return UploadRow(**(given | more))  # type: ignore[arg-type]


def file(connection: Connection, number: int, owner: UserId, blob: int, sha: str) -> None:
    upload = row(number, owner, client_hash="h")
    if not sql.refer(connection, blob):
        sql.add_blob(connection, BlobRow(blob, sha), 100, 7, 5)
    sql.add_file(
        connection,
        upload,
        name=upload.name,
        size=100,
        type_="text/plain",
        blob_id=blob,
        shown='{"id":"1"}',
        now_ms=5,
    )


def test_uploads_files_and_their_content(engine: Engine) -> None:
    """From the first byte's row to the last sweep."""
    with engine.connect() as connection, connection.begin():
        for user, name in ((ANN, "ann"), (BOB, "bob")):
            connection.execute(
                insert(users).values(
                    id=user,
                    username=name,
                    username_key=name,
                    display_name=name,
                    role="member",
                    guest=False,
                    created_at=1,
                )
            )
        connection.execute(
            insert(conversations).values(
                id=GROUP, kind="group", join_policy="invite", lobby=False, created_at=1, changed_at=0
            )
        )
        connection.execute(
            insert(members).values(conversation_id=GROUP, user_id=BOB, role="owner", joined_seq=1, joined_at=1)
        )
        sql.add_upload(connection, row(10, client_hash="h"))
        assert sql.upload(connection, 10) == row(10, client_hash="h")
        assert sql.upload_by_hash(connection, ANN, "h", 100) == row(10, client_hash="h")
        assert sql.upload_by_hash(connection, BOB, "h", 100) is None
        assert sql.upload_by_hash(connection, ANN, "H", 100) is None
        assert (sql.open_uploads(connection, ANN), sql.used_by(connection, ANN)) == (1, 100)
        sql.extend(connection, 10, 60)
        assert sql.expired(connection, 60, 9) == []
        assert sql.expired(connection, 61, 9) == [10]
        assert sql.uploads_among(connection, [10, 11]) == {10}
        assert sql.drop_upload(connection, 10)
        assert not sql.drop_upload(connection, 10)

        file(connection, 20, ANN, 20, "a" * 64)
        file(connection, 21, BOB, 20, "a" * 64)
        assert sql.used_by(connection, ANN) == 100
        assert sql.used_in_all(connection) == 107
        assert connection.execute(select(blobs.c.refs)).scalar_one() == 2
        found = sql.file_by_hash(connection, ANN, "h", 100)
        assert found is not None
        assert (found.id, found.name, found.thumbnail) == (20, "猫 🐈.png", 7)
        assert sql.readable(connection, 20, BOB) is None
        assert set(sql.attachable(connection, [20, 21], ANN)) == {20}
        sql.attach(connection, [20], MessageId(5), GROUP)
        assert sql.readable(connection, 20, BOB) is not None
        assert sql.readable(connection, 20, ANN) is None
        assert set(sql.attachable(connection, [20, 21], ANN)) == {20}
        assert set(sql.attachable(connection, [20, 21], BOB)) == {20, 21}
        assert not sql.drop_file(connection, 20)
        assert sql.unheld(connection, 6, 9) == [21]
        sql.detach(connection, MessageId(5))
        assert sql.file(connection, 20) is None
        assert sql.unreferred(connection, 9) == []
        assert not sql.drop_blob(connection, 20)
        assert sql.drop_file(connection, 21)
        assert sql.unreferred(connection, 9) == [BlobRow(20, "a" * 64)]
        assert sql.blobs_among(connection, [20, 21]) == {20}
        assert sql.drop_blob(connection, 20)
        assert not sql.refer(connection, 20)
        assert sql.blob_of(connection, "a" * 64) is None
