"""One socket as the hub sees it: who it is, what it hears, and a bounded way out.

Whatever is pushed during one turn of the loop is written at its end, at once. While the socket does not take more,
frames wait here, up to a bound; past the bound the connection is closed (4001), alone, and its client's resume heals
it.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from parley.dialects.base import Codec
from parley.gateway.framing import close_frame
from parley.protocol.commands import Actor
from parley.protocol.errors import Close
from parley.protocol.events import Signal
from parley.protocol.types import ConversationId, UserId

CLOSE_SECONDS = 5.0
"""How long a peer may take to answer a close frame before the socket is cut."""
FEW, PIECE_BYTES = 8, 262_144
"""A turn of more frames and bytes than this is written in pieces, so that a full socket is noticed on the way."""
DRAIN_SECONDS = 30.0
"""A page of a resume that makes no progress for this long is a dead reader."""


class Wire(Protocol):
    """What a connection needs of its transport."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool: ...
    def get_write_buffer_size(self) -> int: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class LegacySide(Protocol):
    """What the hot path asks of an older dialect's connection."""

    away: Any
    granted: frozenset[tuple[str, str]]
    label: dict[str, str]
    manners: Any


class Outbound:
    """The connections that have something to write this turn, and the bounds of their queues."""

    __slots__ = ("_dirty", "_loop", "_scheduled", "closed_slow", "queue_bytes", "queue_frames")

    def __init__(self, queue_frames: int, queue_bytes: int) -> None:
        self.queue_frames = queue_frames
        self.queue_bytes = queue_bytes
        self.closed_slow = 0
        self._loop = asyncio.get_running_loop()
        self._dirty: list[Connection] = []
        self._scheduled = False

    def touch(self, connection: "Connection") -> None:
        self._dirty.append(connection)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def deliver(self, connections: "dict[Connection, None]", frame: bytes) -> None:
        """Push one ready frame to many. The hottest loop of the server: no call, no await, no encoding in it."""
        dirty = self._dirty
        append = dirty.append
        if not dirty and connections and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)
        for connection in connections:
            turn = connection.turn
            if turn is None:
                connection.turn = frame
                append(connection)
            elif type(turn) is list:
                turn.append(frame)
            else:
                connection.turn = [turn, frame]

    def flush(self) -> None:
        """One write per socket."""
        self._scheduled = False
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            turn = connection.turn
            connection.turn = None
            if connection.paused:
                connection.queue_up(turn)
            elif type(turn) is list:
                if len(turn) > FEW and sum(map(len, turn)) > PIECE_BYTES:
                    connection.write_by_pieces(turn)
                else:
                    connection.wire.write(b"".join(turn))
            else:
                connection.wire.write(turn)


class Connection:
    """One socket. Belongs to the event loop; every method is synchronous but `drained`."""

    __slots__ = (
        "__weakref__", "actor", "bad_frames", "bases", "busy", "cancel_close", "catching", "closed", "closing",
        "codec", "early", "feeds", "heard", "id", "inbox", "legacy", "live", "on_closed", "outbound", "paused", "queue",
        "queued_bytes", "queued_frames", "reading_paused", "resuming", "session_id", "tokens", "tokens_at", "turn",
        "waiter", "watching", "wire",
    )  # fmt: skip

    def __init__(self, id_: str, actor: Actor, session_id: int, codec: Codec, wire: Wire, outbound: Outbound) -> None:
        self.id = id_
        self.actor = actor
        self.session_id = session_id
        self.codec = codec
        self.wire = wire
        self.outbound = outbound
        self.turn: Any = None
        """What is pushed this turn: None, one frame, or a list of frames."""
        self.paused = False
        """The socket does not take more for now, or is being closed: look at `closing`."""
        self.closing = False
        self.closed = False
        self.queue: list[bytes] | None = None
        self.queued_frames = 0
        self.queued_bytes = 0
        self.waiter: asyncio.Future[None] | None = None
        self.heard = 0
        """The heartbeat wheel's time of the last frame that came."""
        self.tokens = -1.0
        self.tokens_at = 0.0
        self.bad_frames = 0
        self.early: list[Signal] | None = []
        """Until welcome is sent, which comes first: what is to be told after it."""
        self.live = False
        """Has said where it stands, so log frames may flow."""
        self.bases: dict[ConversationId, int] | None = {}
        """Until `live`: the heads that welcome told, per conversation."""
        self.feeds: set[Any] = set()
        self.catching: dict[ConversationId, asyncio.Task[Any]] | None = None
        """Conversations whose missed pages are being sent, and by which task."""
        self.resuming: asyncio.Task[None] | None = None
        """The resume under way; there is one at a time."""
        self.watching: frozenset[UserId] = frozenset()
        self.busy = False
        """A command of it is waiting for something; later ones wait in `inbox`, so that none overtakes it."""
        self.inbox: list[str] | None = None
        self.reading_paused = False
        self.legacy: LegacySide | None = None
        """Of a connection that speaks an older dialect: what it has beside this."""
        self.cancel_close: asyncio.TimerHandle | None = None
        self.on_closed: Callable[[Connection], None] | None = None

    def push(self, frame: bytes | None) -> None:
        """Write at the end of this turn. `frame` has its WebSocket header; None is a dialect's way to say nothing."""
        if frame is None or self.closing:
            return
        turn = self.turn
        if turn is None:
            self.turn = frame
            self.outbound.touch(self)
        elif type(turn) is list:
            turn.append(frame)
        else:
            self.turn = [turn, frame]

    # A socket that does not keep up

    def pause_writing(self) -> None:
        """Called by the transport when its own buffer (64 KiB) is full."""
        self.paused = True

    def resume_writing(self) -> None:
        if self.closing:
            return
        self.paused = False
        if self.queue:
            waiting, self.queue = self.queue, None
            self.queued_frames = self.queued_bytes = 0
            self.wire.write(b"".join(waiting))
        if not self.paused:
            self._stop_waiting()

    def write_by_pieces(self, turn: list[bytes]) -> None:
        """Much at once would all be kept for a socket that takes none of it: from where it is full the bound counts."""
        start = size = 0
        for index, one in enumerate(turn, 1):
            size += len(one)
            if size >= PIECE_BYTES or index == len(turn):
                self.wire.write(b"".join(turn[start:index]))
                start, size = index, 0
                if self.paused and index < len(turn):
                    self.queue_up(turn[start:])
                    return

    def queue_up(self, turn: Any) -> None:
        if self.closing:
            return
        if self.queue is None:
            self.queue = []
        frames = turn if type(turn) is list else [turn]
        self.queue += frames
        self.queued_frames += len(frames)
        self.queued_bytes += sum(map(len, frames))
        if self.queued_frames > self.outbound.queue_frames or self.queued_bytes > self.outbound.queue_bytes:
            self.outbound.closed_slow += 1
            self.close(Close.SLOW_CONSUMER, "slow consumer: resume to catch up")

    async def drained(self) -> bool:
        """Wait until the socket has taken what was written. False when it is closed, or takes nothing for too long.

        Any number may wait at once; the next to write makes the others wait again.
        """
        if self.turn is not None:
            self.outbound.flush()
        while self.paused and not self.closing:
            if self.waiter is None:
                self.waiter = asyncio.get_running_loop().create_future()
            left = self.wire.get_write_buffer_size()
            try:
                await asyncio.wait_for(asyncio.shield(self.waiter), DRAIN_SECONDS)
            except TimeoutError:
                # Slow is not dead: a page takes half a minute on a bad line.
                if self.wire.get_write_buffer_size() >= left:
                    self.outbound.closed_slow += 1
                    self.close(Close.SLOW_CONSUMER, "no progress: resume to catch up")
        return not self.closing

    # The end

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye and close. The peer's own close frame or the end of its stream finishes it; after 5 s the
        socket is cut."""
        if self.closing:
            return
        self._last_words()
        self.wire.write(close_frame(code, reason))
        self.cancel_close = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.wire.abort)

    def close_quietly(self) -> None:
        """The engine has sent a close frame itself, for a frame it could not read."""
        if not self.closing:
            self._last_words()
            self.cancel_close = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.wire.abort)

    def _last_words(self) -> None:
        """What was pushed this turn still goes out before the close frame; what a slow socket left waiting does not."""
        if self.turn is not None and not self.paused:
            turn, self.turn = self.turn, None
            self.wire.write(b"".join(turn) if type(turn) is list else turn)
            # `flush` will still meet it in its list; an empty write is nothing.
            self.turn = b""
        self.closing = True
        self.paused = True
        self.queue = None
        self._stop_waiting()

    def answer_close(self, code: int) -> None:
        """The peer said goodbye first."""
        if not self.closing:
            self._last_words()
            self.wire.write(close_frame(code))
        self.wire.close()

    def lost(self) -> None:
        """The socket is gone. Called once, by the engine."""
        if self.closed:
            return
        self.closed = self.closing = self.paused = True
        self.queue = None
        if self.cancel_close is not None:
            self.cancel_close.cancel()
        self._stop_waiting()
        if self.on_closed is not None:
            self.on_closed(self)

    def _stop_waiting(self) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
