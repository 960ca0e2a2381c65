"""Judge what one client sent and was told, connection by connection, against the final log."""

from __future__ import annotations

from dataclasses import dataclass, field

from parley.testing import history as seen
from parley.testing.truth import Truth, breach


@dataclass(slots=True)
class Sender:
    """What one client sent and was told. I1, I6, I7."""

    name: str
    truth: Truth
    user: str = ""
    bodies: dict[str, str | None] = field(default_factory=dict)
    """What the client ever sent, by client_id."""
    attempts: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    """On this connection, by conversation and client_id: when it was sent first, and when last."""
    step: int = 0

    def connected(self, event: seen.Connected) -> None:
        self.check_order()
        self.user = event.user

    def sent(self, event: seen.Sent) -> None:
        self.step += 1
        if self.bodies.setdefault(event.client_id, event.body) != event.body:
            breach("ran", f"{self.name} sent two bodies as {event.client_id}: the test is wrong")
        tries = self.attempts.setdefault(event.conversation, {})
        first, _ = tries.get(event.client_id, (self.step, 0))
        tries[event.client_id] = (first, self.step)

    def refused(self, event: seen.Refused) -> None:
        # This attempt did nothing, so it has no place in the order. The next one begins anew.
        self.attempts.get(event.conversation, {}).pop(event.client_id, None)

    def acked(self, event: seen.Acked) -> None:
        what = f"{self.name} has the ack of {event.client_id} at conversation {event.conversation} seq {event.seq}"
        stored = self.truth.by_client_id.get((self.user, event.client_id))
        if stored is None:
            breach("I1", f"{what}, the store does not have it: lost")
        if stored.seq is None:
            # The answer to a no-op names the entry that had done it already.
            if (stored.conversation, stored.answer) != (event.conversation, event.seq):
                breach("I1", f"{what}, the kept answer is seq {stored.answer} in conversation {stored.conversation}")
            return
        if (stored.conversation, stored.seq) != (event.conversation, event.seq):
            breach("I1", f"{what}, the store has it at conversation {stored.conversation} seq {stored.seq}")
        if event.message_id != stored.message_id:
            breach("I1", f"{what} as message {event.message_id}, the store has message {stored.message_id}")
        if event.client_id in self.bodies and not self.truth.same_body(stored, self.bodies[event.client_id]):
            breach("I1", f"{what} with body {self.bodies[event.client_id]}, the store has {stored.body}")

    def check_order(self) -> None:
        """Of two ids, one sent for the last time before the other was sent at all, the earlier has the lower seq."""
        for conversation, tries in self.attempts.items():
            moments: list[tuple[int, bool, int, str]] = []
            for client_id, (first, last) in tries.items():
                stored = self.truth.by_client_id.get((self.user, client_id))
                if stored is not None and stored.seq is not None:
                    moments += [(first, False, stored.seq, client_id), (last, True, stored.seq, client_id)]
            highest, holder = 0, ""
            for _, is_last, seq, client_id in sorted(moments):
                if is_last and seq > highest:
                    highest, holder = seq, client_id
                elif not is_last and seq < highest:
                    order = f"{holder} (seq {highest}) before {client_id} (seq {seq})"
                    breach("I6", f"{self.name} sent {order} in conversation {conversation}")
        self.attempts = {}
