"""The load generator: many raw sockets behind one epoll, in one thread, cheap enough not to be what is measured.

Most receivers are only counted: the kernel is told to drop their bytes (MSG_TRUNC) and tell how many there were. Those
with a `hear` are read and cut into frames. Since all members of a room are sent the same frames, the bytes that one
reader has parsed are what every counted one must have got.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence

from parley.bench.wire import CLOSE, PING, PONG, Stream, masked

COUNTED = 1 << 20
READ = 1 << 18
EVENTS = 4096

Hear = Callable[["Client", bytes, int], None]
"""(client, payload, bytes on the wire) of one text frame."""


class Client:
    """One open socket, live: `welcome`, `resume` and its ack are behind it."""

    __slots__ = ("closed", "code", "counted", "hear", "number", "recv_into", "sock", "stream")

    def __init__(self, number: int, sock: socket.socket, stream: Stream) -> None:
        """`stream` may hold the beginning of a frame already."""
        self.number = number
        self.sock = sock
        self.recv_into = sock.recv_into
        self.counted = 0
        """Bytes that were dropped unread."""
        self.hear: Hear | None = None
        self.stream = stream
        self.closed = False
        self.code: int | None = None
        """With which the server closed it, if it said so."""

    def send(self, data: bytes) -> None:
        """All of it; waits, in the rare case that the server does not read."""
        sent = self._try(data)
        while sent < len(data):
            select.select((), (self.sock,), (), 1.0)
            sent += self._try(data[sent:])

    def _try(self, data: bytes) -> int:
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0


class Crowd:
    """All clients of a run. `closed` of them were lost, which no run expects."""

    def __init__(self, opened: Sequence[tuple[socket.socket, Stream]]) -> None:
        self.clients = [Client(number, sock, stream) for number, (sock, stream) in enumerate(opened)]
        self.closed = 0
        self._by_fd = {client.sock.fileno(): client for client in self.clients}
        self._epoll = select.epoll(max(1, len(self._by_fd)))
        self._waiting = (self._epoll.fileno(),)
        self._scratch = bytearray(COUNTED)
        for fd in self._by_fd:
            self._epoll.register(fd, select.EPOLLIN)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._epoll.close()
        for client in self.clients:
            client.sock.close()

    def drain(self, timeout: float) -> int:
        """Take what has come, or wait for something. Returns how many bytes went to counted clients."""
        events = self._epoll.poll(0, EVENTS)
        if not events and timeout > 0:
            # select, because epoll's own timeout is in whole milliseconds
            select.select(self._waiting, (), (), timeout)
            events = self._epoll.poll(0, EVENTS)
        by_fd, scratch, drop, counted = self._by_fd, self._scratch, socket.MSG_TRUNC, 0
        for fd, _ in events:
            client = by_fd[fd]
            if client.hear is not None:
                self._read(client)
                continue
            try:
                size = client.recv_into(scratch, COUNTED, drop)
            except BlockingIOError:
                continue
            except OSError:
                size = 0
            if size:
                client.counted += size
                counted += size
            else:
                self._lost(client)
        return counted

    def _read(self, client: Client) -> None:
        try:
            data = client.sock.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(client)
            return
        assert client.hear is not None
        for kind, payload, size in client.stream.feed(data):
            if kind == PING:
                client.send(masked(payload, PONG))
            elif kind == CLOSE:
                client.code = int.from_bytes(payload[:2], "big")
            else:
                client.hear(client, payload, size)

    def _lost(self, client: Client) -> None:
        if not client.closed:
            client.closed = True
            self.closed += 1
            self._epoll.unregister(client.sock)

    def settle(self, quiet: float = 0.3, longest: float = 30.0) -> bool:
        """Take everything until nothing has come for `quiet` seconds. False if it went on for `longest`."""
        end = time.perf_counter() + longest
        while select.select(self._waiting, (), (), quiet)[0]:
            self.drain(0.0)
            if time.perf_counter() > end:
                return False
        return True

    def forget(self) -> None:
        """Count from zero."""
        for client in self.clients:
            client.counted = 0
