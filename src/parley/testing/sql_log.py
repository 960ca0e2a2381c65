"""The final log of a database that nodes share, read past them."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from parley.testing.store_log import ROWS, StoredConversation, StoredEntry, entry_from_row


class SqlLog:
    """`StoreLog` of a PostgreSQL or a MariaDB, by its SQLAlchemy address. Never writes; holds no connection between
    two questions."""

    def __init__(self, url: str) -> None:
        self._engine: Engine = create_engine(url, poolclass=NullPool)

    def conversations(self) -> Iterator[StoredConversation]:
        members: dict[str, set[str]] = {}
        with self._engine.connect() as database:
            for conversation, user in database.execute(text("SELECT conversation_id, user_id FROM members")):
                members.setdefault(str(conversation), set()).add(str(user))
            for id_, last_seq, lobby in database.execute(
                text("SELECT id, last_seq, lobby FROM conversations ORDER BY id")
            ):
                yield StoredConversation(str(id_), last_seq, None if lobby else frozenset(members.get(str(id_), ())))

    def entries(self, conversation: str) -> Iterator[StoredEntry]:
        question = text(f"{ROWS} WHERE conversation_id = :id ORDER BY seq IS NOT NULL, seq")
        with self._engine.connect() as database:
            for row in database.execute(question, {"id": int(conversation)}):
                yield entry_from_row(conversation, *row)
