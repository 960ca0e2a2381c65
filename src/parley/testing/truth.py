"""The final log, read into memory, and checked for what it must be by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from parley.testing.store_log import StoredEntry, StoreLog


class Breach(Exception):
    """A broken promise. The sentence names the ids, so that one can look them up in the histories and the store."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(invariant, what)
        self.invariant = invariant
        self.what = what

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


def breach(invariant: str, what: str) -> NoReturn:
    raise Breach(invariant, what)


@dataclass(slots=True)
class Truth:
    """The store, read once."""

    heads: dict[str, int] = field(default_factory=dict)
    members: dict[str, frozenset[str] | None] = field(default_factory=dict)
    log: dict[tuple[str, int], StoredEntry] = field(default_factory=dict)
    by_client_id: dict[tuple[str, str], StoredEntry] = field(default_factory=dict)
    joined: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    left: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    deleted: set[str | None] = field(default_factory=set)
    """Messages with a `message.deleted` entry: their texts are empty wherever they stand."""

    def same_body(self, stored: StoredEntry, body: str | None) -> bool:
        """Is this the stored text, or the text of what has been emptied since?"""
        return stored.body == body or (stored.body is None and (stored.deleted or stored.message_id in self.deleted))

    def may_hear(self, user: str, conversation: str, seq: int) -> bool:
        """A member reads the whole log, one who has left reads it up to the last leaving."""
        members = self.members[conversation]
        left = self.left.get((conversation, user))
        return members is None or user in members or bool(left and seq <= left[-1])


def read_store(store: StoreLog) -> Truth:
    """Read the final log, and check what it must be by itself: I2 and I3."""
    truth = Truth()
    for conversation in store.conversations():
        truth.heads[conversation.id] = conversation.last_seq
        truth.members[conversation.id] = conversation.members
        expected = 1
        for entry in store.entries(conversation.id):
            where = f"conversation {conversation.id} seq {entry.seq}"
            if entry.client_id is not None and entry.by is not None:
                first = truth.by_client_id.setdefault((entry.by, entry.client_id), entry)
                if first is not entry:
                    there = f"conversation {first.conversation} seq {first.seq}"
                    breach("I2", f"client_id {entry.client_id} of user {entry.by} is stored twice: {there} and {where}")
            if entry.seq is None:
                continue
            if entry.seq != expected:
                breach("I3", f"{where} follows seq {expected - 1}")
            truth.log[conversation.id, entry.seq] = entry
            expected += 1
            if entry.kind == "message.deleted":
                truth.deleted.add(entry.message_id)
            if entry.user is not None and entry.kind in {"member.joined", "member.left"}:
                moves = truth.joined if entry.kind == "member.joined" else truth.left
                moves.setdefault((conversation.id, entry.user), []).append(entry.seq)
        if expected - 1 != conversation.last_seq:
            breach(
                "I3",
                f"conversation {conversation.id} ends at seq {expected - 1}, its head says {conversation.last_seq}",
            )
    return truth
