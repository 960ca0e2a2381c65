"""Judge what one client received, connection by connection, against the final log."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from parley.testing import history as seen
from parley.testing.truth import Truth, breach


@dataclass(slots=True)
class Range:
    """What a resume asked for and has not been acknowledged yet. Its pages and live entries may come mixed."""

    start: int
    due: int
    begun: bool = False
    """Its pages have been told apart from live entries."""

    def takes(self, seq: int, live_due: int | None) -> bool:
        if seq == self.start and not self.begun:
            # Perhaps a live entry that was on its way before the server read the resume: the pages may yet begin.
            self.due, self.begun = seq + 1, seq != live_due
            return True
        if seq == self.due:
            self.due += 1
            self.begun |= seq != live_due
            return True
        return False


@dataclass(slots=True)
class Reader:
    """What one client must receive next, connection by connection. I4, I5, I7."""

    name: str
    truth: Truth
    user: str = ""
    due: dict[str, int] = field(default_factory=dict)
    """The next seq of each conversation on this connection."""
    asked: dict[str, Range] = field(default_factory=dict)
    have: dict[str, int] = field(default_factory=dict)
    """Up to where the client holds each log without a hole, over all connections."""

    def connected(self, event: seen.Connected) -> None:
        self.user = event.user
        self.asked.clear()
        self.due = {conversation: head + 1 for conversation, head in event.heads.items()}

    def resumed(self, event: seen.Resumed) -> None:
        self.asked |= {conversation: Range(cursor + 1, cursor + 1) for conversation, cursor in event.cursors.items()}

    def live(self, event: seen.Live) -> None:
        for conversation, head in event.heads.items():
            asked = self.asked.pop(conversation, None)
            reached = asked.due - 1 if asked else self.due.get(conversation, 1) - 1
            if reached < head:
                told = f"live from {head} in conversation {conversation}"
                breach("I4", f"{self.name} was told {told}, received up to {reached}")
            self.due[conversation] = reached + 1

    def reset(self, event: seen.Reset) -> None:
        for conversation, head in event.heads.items():
            self.asked.pop(conversation, None)
            self.have[conversation] = head
            self.due[conversation] = head + 1

    def received(self, event: seen.Received) -> None:
        conversation, seq = event.conversation, event.seq
        where = f"{self.name} received conversation {conversation} seq {seq}"
        stored = self.truth.log.get((conversation, seq))
        if stored is None:
            breach("I7", f"{where}, a phantom: the store has no such entry")
        if not self.truth.may_hear(self.user, conversation, seq):
            breach("I7", f"{where} as user {self.user}, who is not a member")
        if (event.kind, event.by, event.client_id, event.message_id) != (
            stored.kind,
            stored.by,
            stored.client_id,
            stored.message_id,
        ) or not self.truth.same_body(stored, event.body):
            breach("I3", f"{where} as {event.kind} {event.client_id} {event.body}, the store has {stored}")

        expected = self.due.get(conversation)
        asked = self.asked.get(conversation)
        if asked is not None and asked.takes(seq, expected):
            if seq == expected:
                self.due[conversation] = seq + 1
        elif expected is None and self.left_before(conversation, seq):
            # Its first entry, or the first after having left: from one's own joining on.
            breach("I7", f"{where} as user {self.user}, who had left")
        elif asked is not None and not asked.begun and asked.start < seq < (expected or asked.start):
            breach("I4", f"{where}, after having asked from {asked.start} on")
        elif expected is not None and seq < expected:
            breach("I5", f"{where} again, {expected} was next")
        elif expected is not None and seq > expected:
            breach("I4", f"{where}, but {expected} was next")
        else:
            self.due[conversation] = seq + 1
        if seq == self.have.get(conversation, 0) + 1:
            self.have[conversation] = seq
        if event.kind == "member.left" and stored.user == self.user:
            self.due.pop(conversation, None)

    def left_before(self, conversation: str, seq: int) -> bool:
        """Was the user out of the conversation when this entry was written?"""
        joined = self.truth.joined.get((conversation, self.user), [])
        left = self.truth.left.get((conversation, self.user), [])
        leaves = bisect_left(left, seq)
        return leaves > 0 and not any(left[leaves - 1] < again <= seq for again in joined)

    def finished(self, event: seen.Finished) -> None:
        for conversation, members in self.truth.members.items():
            if members is not None and self.user not in members:
                continue
            head, have = self.truth.heads[conversation], self.have.get(conversation, 0)
            if event.cursors.get(conversation, 0) != head or have != head:
                breach("I4", f"{self.name} finished conversation {conversation} at seq {have}, the store is at {head}")
