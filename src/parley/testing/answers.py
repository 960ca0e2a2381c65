"""What the reference client tells the test that drives it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class Ack:
    conversation_id: str
    client_id: str
    seq: int
    message_id: str | None
    duplicate: bool


class Refusal(Exception):
    """A send was refused for good. `name` and `code` are those of spec/codes.toml."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(name, code)
        self.name = name
        self.code = code


class Stopped(Exception):
    """The server ended the session: this client does not come back. What was in the outbox stays in it."""
