"""What a client was told, as its history notes it."""

from __future__ import annotations

from parley.testing.answers import Ack
from parley.testing.history import Acked, Received
from parley.testing.store_log import StoredEntry


def acked(ack: Ack) -> Acked:
    return Acked(
        conversation=ack.conversation_id,
        client_id=ack.client_id,
        seq=ack.seq,
        message_id=ack.message_id,
        duplicate=ack.duplicate,
    )


def received(entry: StoredEntry) -> Received:
    """An entry that came in a `log` frame."""
    assert entry.seq is not None
    return Received(
        conversation=entry.conversation,
        seq=entry.seq,
        kind=entry.kind,
        by=entry.by,
        client_id=entry.client_id,
        message_id=entry.message_id,
        body=entry.body,
    )
