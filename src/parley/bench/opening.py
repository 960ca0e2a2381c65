"""From nothing to a crowd of live clients: connect, upgrade, `welcome`, `resume`, its ack; many at once."""

from __future__ import annotations

import base64
import secrets
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from parley.bench.crowd import Crowd
from parley.bench.stage import Stage
from parley.bench.wire import CLOSE, PING, Stream, command, decode

AT_ONCE = 128
PATIENCE = 30.0
"""Seconds within which some client must get further."""
PER_ADDRESS = 20_000
"""Clients from one loopback address: there are some 28,000 ports."""

Then = Callable[[int], "tuple[str, dict[str, Any]] | None"]
"""A further command (type, payload) for the client of this number, before it counts as open."""


class CouldNotOpen(Exception):
    """A client was refused, or the server stopped answering; the text says where."""


class Opening:
    """One client on its way."""

    def __init__(self, number: int, stage: Stage, then: Then | None) -> None:
        self.number = number
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if stage.host == "127.0.0.1" and number >= PER_ADDRESS:
            self.sock.bind((f"127.0.0.{1 + number // PER_ADDRESS}", 0))
        self._request = (
            f"GET /api/v1/ws HTTP/1.1\r\nHost: {stage.host}:{stage.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(secrets.token_bytes(16)).decode()}\r\n"
            f"Authorization: Bearer {stage.tokens[number]}\r\n\r\n"
        ).encode()
        self._head: bytes | None = b""
        self.stream = Stream()
        self._then = then
        self.sock.connect_ex((stage.host, stage.port))

    def begin(self) -> None:
        """The socket is connected."""
        self.sock.sendall(self._request)

    def feed(self, data: bytes) -> bool:
        """Go on with what came; True when it is live. Raises CouldNotOpen."""
        if not data:
            raise CouldNotOpen(f"client {self.number}: the server closed it")
        if self._head is not None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return False
            if b" 101 " not in head.split(b"\r\n")[0]:
                raise CouldNotOpen(
                    f"client {self.number}: {head.splitlines()[0].decode()} {data.decode(errors='replace')}"
                )
            self._head = None
        live = False
        for kind, payload, _ in self.stream.feed(data):
            live = self._heard(kind, payload) or live
        return live

    def _heard(self, kind: int, payload: bytes) -> bool:
        if kind == CLOSE:
            raise CouldNotOpen(f"client {self.number}: closed with {int.from_bytes(payload[:2], 'big')}")
        if kind == PING:
            return False
        frame = decode(payload)
        if frame.type == "welcome":
            self.sock.sendall(command("resume", "open", {"epoch": frame.payload.epoch, "cursors": {}}))
        elif frame.type == "error":
            raise CouldNotOpen(f"client {self.number}: {frame.payload.name}")
        elif frame.id == "open":
            then = self._then(self.number) if self._then is not None else None
            if then is None:
                return True
            self.sock.sendall(command(then[0], "then", then[1]))
        return frame.id == "then"


def open_crowd(
    stage: Stage, count: int, *, then: Then | None = None, progress: Callable[[int], None] | None = None
) -> Crowd:
    """Open the first `count` clients of the stage. Raises CouldNotOpen."""
    opened: list[Opening | None] = [None] * count
    under_way: dict[int, Opening] = {}
    started = done = 0
    moved = time.monotonic()
    with select.epoll() as poll:
        try:
            while done < count:
                while started < count and len(under_way) < AT_ONCE:
                    opening = Opening(started, stage, then)
                    under_way[opening.sock.fileno()] = opening
                    poll.register(opening.sock, select.EPOLLOUT)
                    started += 1
                for fd, event in poll.poll(0.2):
                    moved = time.monotonic()
                    if not _step(poll, under_way[fd], event):
                        continue
                    opening = under_way.pop(fd)
                    poll.unregister(fd)
                    opened[opening.number] = opening
                    done += 1
                    if progress is not None:
                        progress(done)
                if time.monotonic() - moved > PATIENCE:
                    raise CouldNotOpen(f"no client got further in {PATIENCE:.0f} s, after {done} of {count}")
        except BaseException:
            for it in (*opened, *under_way.values()):
                if it is not None:
                    it.sock.close()
            raise
    return Crowd([(it.sock, it.stream) for it in opened if it is not None])


def _step(poll: select.epoll, opening: Opening, event: int) -> bool:
    try:
        if event & select.EPOLLOUT:
            opening.begin()
            poll.modify(opening.sock, select.EPOLLIN)
            return False
        return opening.feed(opening.sock.recv(65_536))
    except OSError as error:
        raise CouldNotOpen(f"client {opening.number}: {error.strerror}") from None
