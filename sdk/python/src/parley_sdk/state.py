"""What a client remembers over a restart: where it stands in each conversation, and what is not sent yet."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(slots=True)
class Remembered:
    """`owner`: the account's id. `unsent`: client_id -> payload of `message.send`, in send order."""

    epoch: str | None = None
    owner: str | None = None
    cursors: dict[str, int] = field(default_factory=dict)
    unsent: dict[str, dict[str, Any]] = field(default_factory=dict)


class State(Protocol):
    """One client at a time. Each call is durable when it returns, as far as this state outlives the process."""

    def load(self) -> Remembered: ...

    def stand(self, epoch: str, owner: str, cursors: Mapping[str, int]) -> None:
        """Of these conversations everything up to here was dealt with. Those not named stay."""

    def forget(self, conversations: list[str]) -> None: ...

    def clear(self, epoch: str, owner: str) -> None:
        """Another account, or another history: nothing remembered is of use."""

    def put(self, client_id: str, payload: Mapping[str, Any]) -> None: ...

    def drop(self, client_id: str) -> None: ...

    def close(self) -> None: ...


class Memory:
    """Remembers for as long as the process lives."""

    def load(self) -> Remembered:
        return Remembered()

    def stand(self, epoch: str, owner: str, cursors: Mapping[str, int]) -> None:
        """The client has them itself."""

    def forget(self, conversations: list[str]) -> None:
        """The client has them itself."""

    def clear(self, epoch: str, owner: str) -> None:
        """The client has them itself."""

    def put(self, client_id: str, payload: Mapping[str, Any]) -> None:
        """The client has it itself."""

    def drop(self, client_id: str) -> None:
        """The client has it itself."""

    def close(self) -> None:
        """Nothing is held."""


class StateFile:
    """An SQLite file. A second client on it is refused: two would take each other's cursors for their own."""

    def __init__(self, path: str | Path) -> None:
        """Raises sqlite3.OperationalError when another client has it open."""
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(
                "BEGIN IMMEDIATE;"
                "CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
                "CREATE TABLE IF NOT EXISTS cursors (conversation TEXT PRIMARY KEY, seq INTEGER NOT NULL);"
                "CREATE TABLE IF NOT EXISTS unsent"
                " (n INTEGER PRIMARY KEY, client_id TEXT UNIQUE NOT NULL, payload TEXT NOT NULL);"
                "COMMIT"
            )
        except BaseException:
            self._db.close()
            raise

    def load(self) -> Remembered:
        facts = dict(self._db.execute("SELECT key, value FROM facts"))
        cursors = dict(self._db.execute("SELECT conversation, seq FROM cursors"))
        unsent = {
            key: json.loads(text) for key, text in self._db.execute("SELECT client_id, payload FROM unsent ORDER BY n")
        }
        return Remembered(facts.get("epoch"), facts.get("owner"), cursors, unsent)

    def stand(self, epoch: str, owner: str, cursors: Mapping[str, int]) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._name(epoch, owner)
            self._db.executemany("REPLACE INTO cursors VALUES (?, ?)", list(cursors.items()))

    def forget(self, conversations: list[str]) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("DELETE FROM cursors WHERE conversation = ?", [(one,) for one in conversations])

    def clear(self, epoch: str, owner: str) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM cursors")
            # What was not sent is the account's own: it goes out in any history, but in nobody else's name.
            if dict(self._db.execute("SELECT key, value FROM facts")).get("owner") not in {None, owner}:
                self._db.execute("DELETE FROM unsent")
            self._name(epoch, owner)

    def _name(self, epoch: str, owner: str) -> None:
        self._db.executemany("REPLACE INTO facts VALUES (?, ?)", [("epoch", epoch), ("owner", owner)])

    def put(self, client_id: str, payload: Mapping[str, Any]) -> None:
        self._db.execute("INSERT INTO unsent (client_id, payload) VALUES (?, ?)", (client_id, json.dumps(payload)))

    def drop(self, client_id: str) -> None:
        self._db.execute("DELETE FROM unsent WHERE client_id = ?", (client_id,))

    def close(self) -> None:
        self._db.close()
