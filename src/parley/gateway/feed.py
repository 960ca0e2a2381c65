"""One conversation on this node: who hears it, and up to where they have heard.

Every subscriber gets each entry once and in order. That rests on three facts, all decided on the event loop with no
await between: entries are passed on contiguously (`in_order` drops repeats and holds what is behind a hole), a
subscriber joins with the last seq it was sent by pages, and one that is ahead of the feed waits in `late` until the
feed has passed that seq.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from parley.dialects.base import Codec
from parley.gateway.connection import Connection, Outbound
from parley.gateway.framing import frame
from parley.gateway.hold import Hold
from parley.protocol.events import About, Entry, Signal
from parley.protocol.types import ConversationId

FRAME_ENTRIES = 200
FRAME_BYTES = 262_144

NATIVE = "native"

CameLive = Callable[["Feed", Connection], None]


class Attendance(Protocol):
    """Who is there, as some dialects show it."""

    def close(self) -> None: ...
    def came(self, connection: Connection) -> None: ...
    def went(self, connection: Connection) -> None: ...
    def became(self, connection: Connection, user_id: int) -> None: ...
    def relabel(self, connection: Connection, label: dict[str, str]) -> None: ...


class Feed:
    """`head` is the last seq this node has passed on, or None while it has passed on nothing and nobody is live."""

    __slots__ = (
        "about", "attendance", "came_live", "conversation_id", "deliveries", "encodings", "head", "hold", "known",
        "late", "live", "outbound", "paging", "tracking",
    )  # fmt: skip

    def __init__(
        self, conversation_id: ConversationId, outbound: Outbound, came_live: CameLive = lambda _feed, _connection: None
    ) -> None:
        """`came_live` is told of each subscriber once it hears everything from now on."""
        self.conversation_id = conversation_id
        self.about = About(conversation_id)
        """All that is known of it where a dialect's frames say more than its id."""
        self.outbound = outbound
        self.came_live = came_live
        self.head: int | None = None
        self.known = 0
        """The highest seq that is known to be stored, while the feed is behind it; else 0."""
        self.hold = Hold()
        """What came before the entry in front of it did."""
        self.live: dict[Any, dict[Connection, None]] = {}
        """Subscribers by dialect: each dialect's frame is made once."""
        self.late: dict[Connection, int] = {}
        """Subscribers that were sent entries by pages which the feed has not passed yet, and up to where."""
        self.paging: dict[Connection, int] = {}
        """Those that are being sent pages, and up to where they have been, as members."""
        self.attendance: Attendance | None = None
        """Told who comes and goes, while clients of dialects are here that show it."""
        self.tracking = 0
        """Resumes under way: while one reads the store, the feed must note what is published."""
        self.encodings = 0
        self.deliveries = 0

    @property
    def unused(self) -> bool:
        return not (self.tracking or self.late or self.live)

    def connections(self) -> list[Connection]:
        return [connection for group in self.live.values() for connection in group] + list(self.late)

    def hears(self, connection: Connection) -> bool:
        group = self.live.get(connection.codec)
        return (group is not None and connection in group) or connection in self.late

    def member_at(self, connection: Connection) -> int:
        """By pages it was sent: up to which entry it was found to be a member's. -1: by none."""
        return max(self.late.get(connection, -1), self.paging.get(connection, -1))

    # Joining

    def behind(self, read: int) -> bool:
        """Whether a reader that has everything up to `read` would miss something if it joined now."""
        return self.head is not None and self.head > read

    def add(self, connection: Connection, read: int) -> None:
        """Subscribe one that has everything up to `read`. The caller has made sure that it is not `behind`."""
        if self.head is None:
            self.head = read
        if read > self.head:
            self.late[connection] = read
        else:
            self._go_live(connection)
        connection.feeds.add(self)
        if self.attendance is not None:
            self.attendance.came(connection)

    def _go_live(self, connection: Connection) -> None:
        self.live.setdefault(connection.codec, {})[connection] = None
        self.came_live(self, connection)

    def remove(self, connection: Connection) -> None:
        connection.feeds.discard(self)
        self.late.pop(connection, None)
        group = self.live.get(connection.codec)
        if group is not None and connection in group:
            del group[connection]
            if not group:
                del self.live[connection.codec]
        if self.attendance is not None:
            self.attendance.went(connection)

    # Passing on

    def in_order(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Of what came in, and of what was held, that which can be passed on now: not passed on yet, and no hole
        before it. `behind_hole` tells whether something is missing."""
        head = self.head
        if head is None:
            return entries
        first, last = entries[0].seq, entries[-1].seq
        whole = last - first + 1 == len(entries)
        if first == head + 1 and whole and not self.known:
            return entries
        if last <= head:
            return ()
        self.known = max(self.known, last)
        fresh = [entry for entry in entries if entry.seq > head] if first <= head else entries
        if whole and first <= head + 1:
            return [*fresh, *self.hold.take_after(last)]
        self.hold.put(fresh)
        return self.hold.take_after(head)

    @property
    def behind_hole(self) -> bool:
        """Whether entries are known of that could not be passed on."""
        return self.head is not None and self.known > self.head

    @property
    def shows_names(self) -> bool:
        """Whether somebody hears it in a dialect whose frames show who wrote."""
        return any(codec.name != NATIVE for codec in self.live) or any(
            connection.codec.name != NATIVE for connection in self.late
        )

    def publish(self, entries: Sequence[Entry]) -> None:
        """Deliver fresh, contiguous entries to all who hear this conversation."""
        self.head = entries[-1].seq
        for codec, connections in self.live.items():
            if codec.may_hush and self._hushed(codec, connections, entries):
                continue
            for encoded in self._encode(codec, entries):
                self.deliveries += len(connections)
                self.outbound.deliver(connections, encoded)
        if self.late:
            self._publish_late(entries)

    def _hushed(self, codec: Codec, connections: dict[Connection, None], entries: Sequence[Entry]) -> bool:
        """Some dialects do not echo a message to the socket that sent it. Such conversations are of two, so each of
        their sockets may be served by itself. False: there is nothing to hush."""
        if all(codec.echoes(self.about, entry) for entry in entries):
            return False
        for connection in connections:
            rest = self.heard_by(connection, entries)
            for encoded in self._encode(codec, rest) if rest else ():
                connection.push(encoded)
        return True

    def heard_by(self, connection: Connection, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Without what this socket is not to hear back."""
        legacy, codec = connection.legacy, connection.codec
        if legacy is None or not codec.may_hush:
            return entries
        return [
            entry for entry in entries if not legacy.manners.wrote(connection, entry) or codec.echoes(self.about, entry)
        ]

    def _publish_late(self, entries: Sequence[Entry]) -> None:
        for connection, read in list(self.late.items()):
            rest = self.heard_by(connection, [entry for entry in entries if entry.seq > read])
            if rest:
                for encoded in self._encode(connection.codec, rest):
                    connection.push(encoded)
            if read <= entries[-1].seq:
                del self.late[connection]
                self._go_live(connection)

    def _encode(self, codec: Codec, entries: Sequence[Entry]) -> list[bytes]:
        """One piece per page, of bounded size and made once for this dialect."""
        assert self.head is not None
        pages = pages_of(entries)
        self.encodings += len(pages)
        made = []
        for number, page in enumerate(pages, 1):
            frames = codec.entries(self.about, self.head, number < len(pages), page)
            if frames:
                made.append(b"".join([frame(payload) for payload in frames]) if len(frames) > 1 else frame(frames[0]))
        return made

    def signal(self, signal: Signal, without: int | None = None) -> None:
        """Deliver what is not history; `without`: the user it is about, who knows."""
        for codec, connections in self.live.items():
            payload = codec.signal(signal)
            if payload is None:
                continue
            encoded = frame(payload)
            if without is None:
                self.outbound.deliver(connections, encoded)
            else:
                for connection in connections:
                    if connection.actor.user_id != without:
                        connection.push(encoded)

    def signal_dialect(self, dialect: str, signal: Signal) -> None:
        """To the clients of one dialect only."""
        for codec, connections in self.live.items():
            payload = codec.signal(signal) if codec.name == dialect else None
            if payload is not None:
                self.outbound.deliver(connections, frame(payload))


def pages_of(entries: Sequence[Entry]) -> list[Sequence[Entry]]:
    """Cut so that a frame holds at most 200 entries or about 256 KiB."""
    if len(entries) == 1:
        return [entries]
    pages: list[Sequence[Entry]] = []
    start = size = 0
    for index, entry in enumerate(entries):
        size += len(entry.body) + 160
        if index > start and (index - start >= FRAME_ENTRIES or size > FRAME_BYTES):
            pages.append(entries[start:index])
            start, size = index, len(entry.body) + 160
    pages.append(entries[start:])
    return pages
