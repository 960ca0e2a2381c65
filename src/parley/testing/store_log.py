"""The final log, read past the server: straight from its SQLite file, or over HTTP where there is no file to read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from parley.protocol.types import WIRE_KINDS, EntryKind
from parley.testing.history import fingerprint

PAGE = 200
ANSWER = "answer"
"""The kind, here only, of a kept answer to a command that changed nothing."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A row of the log. `seq` is None for the kept answer to a no-op, which is not in the log."""

    conversation: str
    seq: int | None
    kind: str
    by: str | None
    client_id: str | None = None
    message_id: str | None = None
    body: str | None = None
    user: str | None = None
    """Whom a `member.*` entry is about."""
    deleted: bool = False
    """Emptied by a delete, by retention or by an erasure."""
    answer: int | None = None
    """The seq that a kept answer names."""


@dataclass(frozen=True, slots=True)
class StoredConversation:
    id: str
    last_seq: int
    members: frozenset[str] | None = frozenset()
    """Who is a member now; None where everybody is (the lobby)."""


class StoreLog(Protocol):
    """The truth that histories are held against. Read it when the server is at rest: it takes no snapshot."""

    def conversations(self) -> Iterable[StoredConversation]: ...

    def entries(self, conversation: str) -> Iterable[StoredEntry]:
        """Every row of a conversation, by seq, the ones without a seq first."""


@dataclass(frozen=True, slots=True)
class ListedLog:
    """A store made of literals, for the tests of the checker itself."""

    heads: Iterable[StoredConversation]
    rows: Mapping[str, list[StoredEntry]]

    def conversations(self) -> Iterable[StoredConversation]:
        return self.heads

    def entries(self, conversation: str) -> Iterable[StoredEntry]:
        return self.rows.get(conversation, [])


ROWS = "SELECT id, seq, kind, actor_id, client_id, message_id, body FROM entries"


class SqliteLog:
    """Reads `<data>/parley.db` with the standard library alone. Never writes, never checkpoints."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _open(self) -> closing[sqlite3.Connection]:
        # Not `immutable`: after a kill the newest rows are in the write-ahead log, which has to be read as well.
        database = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True)
        database.execute("PRAGMA query_only = 1")
        return closing(database)

    def conversations(self) -> Iterator[StoredConversation]:
        with self._open() as database:
            members: dict[str, set[str]] = {}
            for conversation, user in database.execute("SELECT conversation_id, user_id FROM members"):
                members.setdefault(str(conversation), set()).add(str(user))
            for id_, last_seq, lobby in database.execute("SELECT id, last_seq, lobby FROM conversations ORDER BY id"):
                named = None if lobby else frozenset(members.get(str(id_), ()))
                yield StoredConversation(str(id_), last_seq, named)

    def entries(self, conversation: str) -> Iterator[StoredEntry]:
        query = f"{ROWS} WHERE conversation_id = ? ORDER BY seq IS NOT NULL, seq"
        with self._open() as database:
            for row in database.execute(query, (int(conversation),)):
                yield entry_from_row(conversation, *row)

    def check_database(self) -> str:
        """SQLite's own opinion of the file: "ok", or what is broken."""
        with self._open() as database:
            return str(database.execute("PRAGMA integrity_check").fetchone()[0])


class HttpLog:
    """Reads conversations page by page over the public API, as a user who is a member of all of them."""

    def __init__(self, base_url: str, token: str, conversations: Iterable[str], *, timeout: float = 30.0) -> None:
        self._conversations = list(conversations)
        self._http = httpx.Client(
            base_url=base_url, headers={"Authorization": f"Bearer {token}"}, timeout=timeout, trust_env=False
        )

    def close(self) -> None:
        self._http.close()

    def _get(self, path: str, **query: int) -> dict[str, Any]:
        answer = self._http.get(f"/api/v1/conversations/{path}", params=query)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    def conversations(self) -> Iterator[StoredConversation]:
        for conversation in self._conversations:
            head = self._get(conversation)
            everybody = head["name"] == "lobby"
            yield StoredConversation(conversation, head["head"], None if everybody else self._members(conversation))

    def _members(self, conversation: str) -> frozenset[str]:
        found: set[str] = set()
        query: dict[str, Any] = {"limit": PAGE}
        while True:
            page = self._get(f"{conversation}/members", **query)
            found.update(item["user"]["id"] for item in page["items"])
            if page["next"] is None:
                return frozenset(found)
            query["after"] = page["next"]

    def entries(self, conversation: str) -> Iterator[StoredEntry]:
        after = 0
        while True:
            page = self._get(f"{conversation}/log", after=after, limit=PAGE)
            for entry in page["entries"]:
                yield entry_from_wire(conversation, entry)
            if not page["entries"] or page["next_after"] is None:
                return
            after = page["next_after"]


def entry_from_row(
    conversation: str, id_: int, seq: int | None, kind: int, actor: int, client_id: str, message: int | None, body: str
) -> StoredEntry:
    """Decode a row of `entries`, of whichever database. Raises ValueError if row and body speak of two messages."""
    if seq is None:
        return StoredEntry(conversation, None, ANSWER, str(actor), client_id, answer=json.loads(body)["seq"])
    # A body is the entry's own fields as they go over the wire, so with the columns it reads like a frame.
    frame = {"seq": seq, "kind": WIRE_KINDS[EntryKind(kind)], "by": str(actor), "client_id": client_id}
    entry = entry_from_wire(conversation, frame | json.loads(body))
    named = str(id_ if kind == EntryKind.MESSAGE_CREATED else message or "") or None
    if entry.message_id != named:
        raise ValueError(f"conversation {conversation} seq {seq} is of {named}, its body of {entry.message_id}")
    return entry


def entry_from_wire(conversation: str, entry: Mapping[str, Any]) -> StoredEntry:
    """Decode an entry as it stands in a `log` frame or in the answer of `…/log`."""
    message = entry.get("message") or entry
    kind = entry["kind"]
    return StoredEntry(
        conversation=conversation,
        seq=entry["seq"],
        kind=kind,
        by=entry["by"],
        client_id=entry.get("client_id"),
        message_id=message.get("id") or entry.get("message_id"),
        body=fingerprint(message.get("text")) if kind.startswith("message.") else None,
        user=entry.get("user_id"),
        deleted=bool(message.get("deleted")),
    )
