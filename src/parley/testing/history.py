"""What a test client saw, one JSON line an event, so that a checker that trusts nobody can judge it afterwards.

A history lies outside the server's disk, belongs to one client (or to the injector of faults) and is only ever
appended to. Times are this machine's monotonic clock, which all of its processes share, so that histories of several
processes can be compared.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """Something that happened to a client. `time` and `client` are filled in by the `History` that writes it."""

    time: float = 0.0
    client: str = ""


class Connected(Event, frozen=True, tag="connect"):
    """`welcome` was received. What follows belongs to this connection until the next `Connected` or `Disconnected`."""

    user: str
    epoch: str = ""
    heads: dict[str, int] = {}


class Disconnected(Event, frozen=True, tag="disconnect"):
    code: int | None = None


class Resumed(Event, frozen=True, tag="resume"):
    """The client asked for everything after these cursors."""

    epoch: str | None
    cursors: dict[str, int]


class Live(Event, frozen=True, tag="live"):
    """The resume was acknowledged: live from these heads; everything up to them has been received."""

    heads: dict[str, int]


class Reset(Event, frozen=True, tag="reset"):
    """The server said that it cannot fill the gap: the client's log begins anew after these heads."""

    heads: dict[str, int]


class Gone(Event, frozen=True, tag="gone"):
    conversations: list[str]


class Sent(Event, frozen=True, tag="send"):
    """One attempt; a retry is a second `Sent` with the same `client_id`."""

    conversation: str
    client_id: str
    body: str | None


class Acked(Event, frozen=True, tag="ack"):
    conversation: str
    client_id: str
    seq: int
    message_id: str | None = None
    duplicate: bool = False


class Refused(Event, frozen=True, tag="refused"):
    """The server answered this attempt with an error."""

    conversation: str
    client_id: str
    code: int
    name: str
    retryable: bool


class Received(Event, frozen=True, tag="receive"):
    """An entry came in a `log` frame, whether or not the client knew it already."""

    conversation: str
    seq: int
    kind: str
    by: str | None
    client_id: str | None = None
    message_id: str | None = None
    body: str | None = None


class Fault(Event, frozen=True, tag="fault"):
    """The injector broke something at this moment."""

    name: str


class Healed(Event, frozen=True, tag="healed"):
    """What the last `Fault` broke works again."""

    name: str


class Finished(Event, frozen=True, tag="finished"):
    """The test waited until nothing was under way. This client claims to hold every log whole, up to these seqs."""

    cursors: dict[str, int]


AnyEvent = (
    Connected
    | Disconnected
    | Resumed
    | Live
    | Reset
    | Gone
    | Sent
    | Acked
    | Refused
    | Received
    | Fault
    | Healed
    | Finished
)


def fingerprint(text: str | None) -> str | None:
    """Stand for a message's text in a history, in which bodies have no place. An emptied message has none."""
    if text is None:
        return None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


class History:
    """Append-only writer of one client's events. Each event is in the file before `write` returns."""

    def __init__(self, path: Path, client: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.client = client
        self._clock = clock
        self._encode = msgspec.json.Encoder().encode
        # Unbuffered: a line survives the death of this process, and never waits in it.
        self._file = path.open("ab", buffering=0)

    def write(self, event: AnyEvent) -> None:
        stamped = msgspec.structs.replace(event, time=self._clock(), client=self.client)
        self._file.write(self._encode(stamped) + b"\n")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_history(path: Path) -> Iterator[AnyEvent]:
    """Yield the events in order. A last line without its end was cut off by the death of its writer: it is left out."""
    decode = msgspec.json.Decoder(AnyEvent).decode
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield decode(line)
