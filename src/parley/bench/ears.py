"""What a client of the crowd notes of what it hears."""

from __future__ import annotations

from collections.abc import Callable

from parley.bench.crowd import Client
from parley.bench.wire import Entry, Frame, decode, is_log

ERRORS_KEPT = 20


class Ear:
    """Reads everything: entries must be contiguous in each conversation; `wrong` says where they are not."""

    def __init__(
        self,
        client: Client,
        on_entries: Callable[[list[Entry]], None] | None = None,
        on_ack: Callable[[Client, Frame], None] | None = None,
        on_error: Callable[[Client, Frame], None] | None = None,
    ) -> None:
        self.client = client
        self.entries = 0
        self.log_bytes = 0
        """On the wire; what a counted client of the same room must have got."""
        self.acks = 0
        self.errors: list[str] = []
        self.wrong: list[str] = []
        self.heads: dict[str, int] = {}
        self._on_entries = on_entries
        self._on_ack = on_ack
        self._on_error = on_error
        client.hear = self.hear

    def hear(self, client: Client, payload: bytes, size: int) -> None:
        frame = decode(payload)
        if frame.type == "log":
            self._log(frame, size)
        else:
            self._other(client, frame)

    def _log(self, frame: Frame, size: int) -> None:
        self.log_bytes += size
        conversation, entries = frame.payload.conversation_id, frame.payload.entries
        self.entries += len(entries)
        last = self.heads.get(conversation)
        for entry in entries:
            if last is not None and entry.seq != last + 1:
                self.wrong.append(f"client {self.client.number}: seq {entry.seq} after {last} in {conversation}")
            last = entry.seq
        if last is not None:
            self.heads[conversation] = last
        if self._on_entries is not None:
            self._on_entries(entries)

    def _other(self, client: Client, frame: Frame) -> None:
        if frame.type == "ack":
            self.acks += 1
            if frame.payload.duplicate:
                self.wrong.append(f"client {client.number}: message {frame.id} was called a duplicate")
            if self._on_ack is not None:
                self._on_ack(client, frame)
        elif frame.type == "error":
            if len(self.errors) < ERRORS_KEPT:
                self.errors.append(frame.payload.name)
            if self._on_error is not None:
                self._on_error(client, frame)


class AnswerEar(Ear):
    """Reads answers; of log frames only the bytes are counted, because another client of the room reads them."""

    def hear(self, client: Client, payload: bytes, size: int) -> None:
        if is_log(payload):
            self.log_bytes += size
        else:
            super().hear(client, payload, size)
