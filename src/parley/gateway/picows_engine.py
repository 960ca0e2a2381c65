"""The picows engine: frames parsed in C, written past it.

picows hands over frames, not messages, so fragments are put together here under a total bound. After it has answered
a frame with a close (1009, 1002) it may still deliver it, so a closing connection hears nothing more.
"""

import asyncio
from functools import cache
from typing import Any, cast

from picows import WSAutoPingStrategy, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, WSUpgradeResponse
from picows.common import WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # missing in its type information

from parley.gateway.connection import Connection
from parley.gateway.upgrade import Admitter, Ticket, header_of
from parley.protocol.errors import Close

TEXT, CONTINUATION, PING, CLOSE = WSMsgType.TEXT, WSMsgType.CONTINUATION, WSMsgType.PING, WSMsgType.CLOSE
BINARY, PONG = WSMsgType.BINARY, WSMsgType.PONG
READ_BUFFER = 2048


class _Silent:
    """picows makes a `logging.Logger` for every connection unless it is given something else; one that is off costs
    nothing."""

    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802 - logging's name
        return False

    def __getattr__(self, _name: str) -> Any:
        return _ignore


def _ignore(*_args: Any, **_kwargs: Any) -> None:
    """Protocol errors end in a close code, which is counted there."""


SILENT = _Silent()


class Listener(WSListener):
    """Takes one connection's frames to the gateway."""

    __slots__ = ("connection", "gateway", "parts", "size", "ticket", "transport")

    def __init__(self, gateway: Admitter, ticket: Ticket) -> None:
        self.gateway = gateway
        self.ticket: Ticket | None = ticket
        self.connection: Connection | None = None
        self.transport: WSTransport
        self.parts: list[bytes] | None = None
        self.size = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        assert self.ticket is not None
        self.connection = self.ticket.open(transport.underlying_transport)
        self.ticket = None
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        connection = self.connection
        assert connection is not None
        kind = frame.msg_type
        if connection.closing or transport.is_close_frame_sent:
            if kind == CLOSE:
                transport.underlying_transport.close()
            return
        self.gateway.heard(connection)
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            connection.close(Close.PROTOCOL_ERROR, "no extension was agreed on")
            if kind == CLOSE:
                transport.underlying_transport.close()
        elif kind == TEXT and frame.fin and self.parts is None:
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                connection.close(Close.NOT_UTF8, "text must be UTF-8")
                return
            self.gateway.received(connection, text)
        else:
            self._uncommon(connection, kind, frame)

    def _uncommon(self, connection: Connection, kind: WSMsgType, frame: WSFrame) -> None:
        if kind == PING:
            self.gateway.pinged(connection, frame.get_payload_as_bytes())
        elif kind == CLOSE:
            # An enum in its type information, a plain number at run time; 0 where the frame has none.
            connection.answer_close(cast(int, frame.get_close_code()) or 1000)
        elif kind in (TEXT, CONTINUATION):
            self._fragment(connection, kind, frame)
        elif kind == BINARY:
            self.gateway.received_binary(connection, frame.get_payload_as_bytes())
        elif kind == PONG and connection.legacy is not None:
            self.gateway.ponged(connection, frame.get_payload_as_bytes())

    def _fragment(self, connection: Connection, kind: WSMsgType, frame: WSFrame) -> None:
        """Part of a message: RFC 6455 5.4, with a bound on the whole."""
        if (kind == TEXT) != (self.parts is None):
            connection.close(Close.PROTOCOL_ERROR, "fragments out of order")
            return
        if self.parts is None:
            self.parts, self.size = [], 0
        self.size += frame.payload_size
        if self.size > self.gateway.frame_bytes or len(self.parts) > 1024:
            self.parts = None
            connection.close(Close.TOO_BIG, f"a message has at most {self.gateway.frame_bytes} bytes")
            return
        self.parts.append(frame.get_payload_as_bytes())
        if frame.fin:
            whole, self.parts = b"".join(self.parts), None
            try:
                text = whole.decode()
            except UnicodeDecodeError:
                connection.close(Close.NOT_UTF8, "text must be UTF-8")
                return
            self.gateway.received(connection, text)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self.connection is not None:
            self.connection.lost()

    def pause_writing(self) -> None:
        if self.connection is not None:
            self.connection.pause_writing()

    def resume_writing(self) -> None:
        if self.connection is not None:
            self.connection.resume_writing()

    def was_read(self) -> None:
        """After each read: picows may have answered a frame with a close, and tells nobody."""
        connection = self.connection
        if connection is not None and not connection.closing and self.transport.is_close_frame_sent:
            connection.close_quietly()


class Protocol(WSProtocol):  # type: ignore[misc]  # a C class without type information
    """picows' own, with a word to the listener after each read."""

    __slots__ = ("was_read",)

    def buffer_updated(self, size: int) -> None:
        super().buffer_updated(size)
        self.was_read()


@cache
def _answer(subprotocol: str | None) -> WSUpgradeResponse:
    """One for all connections: picows writes the accepted key into it, sends it at once, and keeps it."""
    extra = {"Sec-WebSocket-Protocol": subprotocol} if subprotocol else None
    answer: WSUpgradeResponse = WSUpgradeResponse.create_101_response(extra)
    return answer


def start(gateway: Admitter, ticket: Ticket, transport: asyncio.Transport, request: bytes, early: bytes) -> None:
    """Take the transport over. The request is told to picows again without what it does not need, and keeps, of it."""
    listener = Listener(gateway, ticket)
    answer = _answer(ticket.subprotocol)

    def factory(_request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        return WSUpgradeResponseWithListener(answer, listener)

    protocol = Protocol(
        None, None, False, factory, SILENT, True, None, False, 25, 20, WSAutoPingStrategy.PING_WHEN_IDLE, False,
        gateway.frame_bytes, None, READ_BUFFER,
    )  # fmt: skip
    protocol.was_read = listener.was_read
    protocol.connection_made(transport)
    transport.set_protocol(protocol)
    _feed(protocol, _essence(request))
    # It keeps the request for as long as the connection lives, and nobody asks for its headers again.
    protocol.transport.request.headers.clear()
    if early:
        _feed(protocol, early)


def _essence(request: bytes) -> bytes:
    key = header_of(request, "sec-websocket-key")
    version = header_of(request, "sec-websocket-version")
    return (
        "GET / HTTP/1.1\r\nhost: parley\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        f"sec-websocket-version: {version}\r\nsec-websocket-key: {key}\r\n\r\n"
    ).encode("latin-1", "replace")


def _feed(protocol: Any, data: bytes) -> None:
    """As a transport does it for a BufferedProtocol."""
    view = memoryview(data)
    while view:
        buffer = protocol.get_buffer(len(view))
        size = min(len(buffer), len(view))
        buffer[:size] = view[:size]
        protocol.buffer_updated(size)
        view = view[size:]
