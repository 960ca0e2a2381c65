"""A TCP proxy that breaks things: cuts, resets, silence, slices, delay, and acks that never arrive.

It stands between clients and the server and asks a plan, for each connection anew, what shall go wrong with it. It
knows nothing of the server; to drop acks it reads just enough of WebSocket framing to find whole text frames.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

import msgspec

CHUNK = 65_536
HALF_OPEN_S = 60.0
"""How long a half-open connection is kept: longer than any heartbeat of a test, and not for ever."""


class Cut(StrEnum):
    """How a connection ends when its bytes are used up."""

    CLOSE = "close"
    RESET = "reset"
    HALF_OPEN = "half_open"
    """Nothing is closed and nothing passes any more: the peer finds out by its heartbeat alone."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one connection. The default is nothing."""

    up_bytes: int | None = None
    """Client to server: cut exactly after this many bytes."""
    down_bytes: int | None = None
    """Server to client: the same."""
    cut: Cut = Cut.CLOSE
    slice_bytes: int | None = None
    """Write at most so many bytes at a time, each in its own packet."""
    delay_s: float = 0.0
    """Before each piece is passed on."""
    drops: Callable[[dict[str, object]], bool] | None = None
    """Which JSON text frames of the server are swallowed."""


def acks_of_sends(frame: dict[str, object]) -> bool:
    """The acks of durable commands, which name a seq; the ack of a resume gets through."""
    payload = frame.get("payload")
    return frame.get("type") == "ack" and isinstance(payload, dict) and "seq" in payload


class ChaosProxy:
    """Listens on a loopback port of its own from entry to exit, and forwards to one server."""

    def __init__(
        self, host: str, port: int, plan: Callable[[int], Fate] = lambda _: Fate(), *, bound: int = 2000
    ) -> None:
        """`plan` is asked with the number of the connection, from 0. `bound`: connections at once; more are closed."""
        self.target = (host, port)
        self.plan = plan
        self.port = 0
        self.counts: Counter[str] = Counter()
        """What was done, by name: `close`, `reset`, `half_open`, `dropped`, `connections`."""
        self._bound = bound
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut_all()
        await asyncio.gather(*self._links, return_exceptions=True)
        await self._server.wait_closed()

    def cut_all(self) -> int:
        """End every connection now; returns how many there were."""
        for link in self._links:
            link.cancel()
        return len(self._links)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._links) >= self._bound:
            writer.transport.abort()
            return
        self._links.add(task)
        fate = self.plan(self.counts["connections"])
        self.counts["connections"] += 1
        try:
            await self._link(fate, reader, writer)
        except asyncio.CancelledError:
            pass  # cut_all, or the end of the proxy: nobody waits for this task's result
        except OSError:
            pass  # either end went away by itself
        finally:
            if not writer.is_closing():
                writer.transport.abort()
            self._links.discard(task)

    async def _link(self, fate: Fate, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await asyncio.open_connection(*self.target)
        try:
            for writer in (client_out, server_out):
                # One-byte slices shall be packets of one byte.
                writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._forward(fate, client_in, client_out, server_in, server_out)
        finally:
            # What was passed on before a clean end is still delivered; transports of a reset are gone already.
            for writer in (client_out, server_out):
                writer.close()

    async def _forward(
        self,
        fate: Fate,
        client_in: asyncio.StreamReader,
        client_out: asyncio.StreamWriter,
        server_in: asyncio.StreamReader,
        server_out: asyncio.StreamWriter,
    ) -> None:
        up = asyncio.create_task(self._pump(client_in, server_out, fate, fate.up_bytes, None))
        swallow = Frames(fate.drops) if fate.drops is not None else None
        down = asyncio.create_task(self._pump(server_in, client_out, fate, fate.down_bytes, swallow))
        try:
            done, _ = await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            was_cut = any(task.exception() is None and task.result() for task in done)
            if was_cut:
                self.counts[fate.cut] += 1
            if was_cut and fate.cut is Cut.HALF_OPEN:
                up.cancel()
                down.cancel()
                # Both sockets stay open and unread. Nobody else closes them: a peer that gave up is not heard here.
                await asyncio.sleep(HALF_OPEN_S)
            if was_cut and fate.cut is Cut.RESET:
                reset(client_out)
                reset(server_out)
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            if swallow is not None:
                self.counts["dropped"] += swallow.dropped

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        fate: Fate,
        budget: int | None,
        swallow: Frames | None,
    ) -> bool:
        """Pass bytes on until the end of the stream (False) or of the budget (True)."""
        left = budget
        while left is None or left > 0:
            data = await reader.read(CHUNK)
            if not data:
                return False
            if swallow is not None:
                data = swallow.feed(data)
            if left is not None:
                data = data[:left]
                left -= len(data)
            step = fate.slice_bytes or len(data) or 1
            for start in range(0, len(data), step):
                if fate.delay_s:
                    await asyncio.sleep(fate.delay_s)
                writer.write(data[start : start + step])
                await writer.drain()
                if fate.slice_bytes:
                    await asyncio.sleep(0)
        return True


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN, and drop what is unsent."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Frames:
    """Removes chosen text frames from what a server sends after its handshake. Compressed ones are not seen."""

    def __init__(self, drops: Callable[[dict[str, object]], bool]) -> None:
        self.dropped = 0
        self._drops = drops
        self._held = b""
        self._upgraded = False

    def feed(self, data: bytes) -> bytes:
        """Take what came; return what may be passed on. A frame is held back until it is whole."""
        self._held += data
        out = b""
        if not self._upgraded:
            end = self._held.find(b"\r\n\r\n")
            if end < 0:
                return b""
            out, self._held = self._held[: end + 4], self._held[end + 4 :]
            self._upgraded = True
        while (size := frame_size(self._held)) is not None and len(self._held) >= sum(size):
            frame, self._held = self._held[: sum(size)], self._held[sum(size) :]
            if frame[0] == 0x81 and self._is_dropped(frame[size[0] :]):
                self.dropped += 1
            else:
                out += frame
        return out

    def _is_dropped(self, payload: bytes) -> bool:
        try:
            frame = msgspec.json.decode(payload, type=dict[str, object])
        except msgspec.MsgspecError:
            return False
        return self._drops(frame)


def frame_size(data: bytes) -> tuple[int, int] | None:
    """Header and payload length of the unmasked frame at the beginning of `data`; None until the header is whole."""
    if len(data) < 2:
        return None
    length = data[1] & 0x7F
    if length < 126:
        return 2, length
    header = 4 if length == 126 else 10
    return (header, int.from_bytes(data[2:header], "big")) if len(data) >= header else None
