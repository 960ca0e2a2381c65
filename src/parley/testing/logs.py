"""What a client holds of its conversations: one reducer for live entries, pages of a resume and snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from parley.testing.store_log import entry_from_wire


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log, as received. `body` is the whole of it."""

    conversation_id: str
    seq: int
    kind: str
    by: str
    client_id: str | None
    message_id: str | None
    body: dict[str, Any]

    @property
    def text(self) -> str | None:
        message = self.body.get("message") or self.body
        text = message.get("text")
        return None if text is None else str(text)


class Step(StrEnum):
    """What an entry did to a log."""

    SHOWN = "shown"
    KNOWN = "known"
    AHEAD = "ahead"
    """Something before it is missing, so it was not taken."""


class Logs:
    """Every log is contiguous from where it began and holds each entry once, whatever arrives."""

    def __init__(self) -> None:
        self.cursors: dict[str, int] = {}
        self._entries: dict[str, list[Entry]] = {}

    def of(self, conversation: str) -> list[Entry]:
        return self._entries.get(conversation, [])

    def receive(self, conversation: str, entry: dict[str, Any]) -> Step:
        seq, cursor = entry["seq"], self.cursors.get(conversation, 0)
        if seq <= cursor:
            return Step.KNOWN
        if seq > cursor + 1:
            return Step.AHEAD
        self._entries.setdefault(conversation, []).append(as_entry(conversation, entry))
        self.cursors[conversation] = seq
        return Step.SHOWN

    def reset(self, conversation: str, head: int) -> list[Entry]:
        """Begin anew after `head`. Returns the new log, by which `put_before` knows that no other reset came since."""
        self.cursors[conversation] = head
        self._entries[conversation] = []
        return self._entries[conversation]

    def put_before(self, conversation: str, log: list[Entry], snapshot: list[dict[str, Any]]) -> None:
        if self._entries.get(conversation) is log:
            log[:0] = [as_entry(conversation, entry) for entry in snapshot]

    def forget(self, conversation: str) -> None:
        self.cursors.pop(conversation, None)
        self._entries.pop(conversation, None)


def as_entry(conversation: str, entry: dict[str, Any]) -> Entry:
    stored = entry_from_wire(conversation, entry)
    return Entry(
        conversation_id=conversation,
        seq=entry["seq"],
        kind=stored.kind,
        by=entry["by"],
        client_id=stored.client_id,
        message_id=stored.message_id,
        body=entry,
    )
