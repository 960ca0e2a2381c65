"""What a wire protocol is here: a pure codec. Frame in, command out; event in, frame out. No await, no I/O, no state
of its own.

Frames are payloads without WebSocket headers. Encoders are called once per event and dialect, never per recipient.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from parley.protocol.commands import Command
from parley.protocol.errors import ChatError
from parley.protocol.events import About, Ack, Entry, Signal


class Request(msgspec.Struct, frozen=True, gc=False):
    """A decoded frame: the command and the client's own reference, which comes back on the answer."""

    ref: str | None
    command: Command


class Codec(Protocol):
    """One dialect. Encoders return None, or no frames, where the dialect has none for it."""

    name: str
    may_hush: bool
    """Whether `echoes` is ever False, so that it has to be asked."""

    def decode(self, frame: str) -> Request:
        """Raises BadFrame, and nothing else, for whatever is not a frame of this dialect."""

    def welcome(self, welcome: dict[str, Any]) -> bytes | None: ...

    def entries(self, about: About, head: int, more: bool, entries: Sequence[Entry]) -> Sequence[bytes]:
        """Contiguous entries of one conversation; `more`: another page follows at once."""

    def signal(self, signal: Signal) -> bytes | None: ...

    def ack(self, ref: str | None, ack: Ack) -> bytes | None: ...

    def done(self, ref: str | None, payload: dict[str, Any]) -> bytes | None:
        """The answer to a command that is not durable."""

    def error(self, ref: str | None, error: ChatError) -> bytes | None: ...

    def pong(self) -> bytes | None: ...

    def echoes(self, about: About, entry: Entry) -> bool:
        """Whether the socket that sent it hears it too."""
