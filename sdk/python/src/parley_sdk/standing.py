"""Where a client stands in each conversation: the arithmetic that shows a repeat, a hole, or that all is there."""

from collections.abc import Iterable, Mapping
from typing import Any

from parley_sdk.events import Entry

_OWN = ("seq", "kind", "by", "at", "client_id")


class Standing:
    """`cursors`: the last seq that was taken, by conversation. `holes`: conversations to be asked for again."""

    def __init__(self, cursors: Mapping[str, int]) -> None:
        self.cursors = dict(cursors)
        self.holes: set[str] = set()

    def begin(self, heads: Iterable[tuple[str, int]]) -> dict[str, int]:
        """Conversations as `welcome` or `conversation.added` tells them; those that are new begin at their head.
        Returns the new ones."""
        new = {conversation: head for conversation, head in heads if conversation not in self.cursors}
        self.cursors |= new
        return new

    def take(self, payload: Mapping[str, Any]) -> list[Entry]:
        """The entries of a `log` frame that are next in line. Repeats are left out; from a hole on, all are."""
        conversation = str(payload["conversation_id"])
        taken: list[Entry] = []
        for row in payload["entries"]:
            seq = row["seq"]
            cursor = self.cursors.get(conversation, seq - 1)
            if seq <= cursor:
                continue
            if seq != cursor + 1:
                self.holes.add(conversation)
                break
            self.cursors[conversation] = seq
            body = {name: value for name, value in row.items() if name not in _OWN}
            taken.append(Entry(conversation, seq, row["kind"], row["by"], row["at"], row["client_id"], body))
        return taken

    def missed(self, payload: Mapping[str, Any]) -> None:
        """There is no room for these entries now."""
        self.holes.add(str(payload["conversation_id"]))

    def resumed(self, asked: Mapping[str, int], answer: Mapping[str, Any]) -> tuple[dict[str, int], list[str]]:
        """The answer to a resume: (conversations that go on behind a later head, those that are gone)."""
        reset = {str(conversation): int(head) for conversation, head in answer.get("reset", {}).items()}
        gone = [str(conversation) for conversation in answer.get("gone", [])]
        self.cursors |= reset
        for conversation in gone:
            self.cursors.pop(conversation, None)
            self.holes.discard(conversation)
        for conversation, live in answer.get("live", {}).items():
            if conversation in asked and conversation not in reset and self.cursors.get(conversation, live) < live:
                self.holes.add(conversation)
        return reset, gone

    def leave(self, conversation: str) -> None:
        self.cursors.pop(conversation, None)
        self.holes.discard(conversation)
