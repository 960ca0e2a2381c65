"""The second engine: the `websockets` library's protocol without I/O. Slower, in pure Python, and nothing of it is
ours."""

import asyncio

from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from parley.gateway.connection import Connection
from parley.gateway.upgrade import Admitter, Ticket
from parley.protocol.errors import Close


class Pongless(ServerProtocol):
    """Pongs are ours to give, at a bounded rate."""

    def send_frame(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.PONG:
            super().send_frame(frame)


class Sansio(asyncio.Protocol):
    """One connection: bytes in, events out, whatever the library wants sent back."""

    def __init__(self, gateway: Admitter, ticket: Ticket, transport: asyncio.Transport) -> None:
        self._gateway = gateway
        self._ticket: Ticket | None = ticket
        self._transport = transport
        chosen = ticket.subprotocol
        self._protocol = Pongless(
            subprotocols=[chosen] if chosen else None,  # type: ignore[list-item]  # a NewType of str
            max_size=gateway.frame_bytes,
        )
        self._connection: Connection | None = None
        self._parts: list[bytes] | None = None
        self._size = 0
        self._failed = False

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._accept(event)
            elif isinstance(event, Frame) and self._connection is not None:
                self._frame(self._connection, event)
        self._send_back()

    def _accept(self, request: Request) -> None:
        try:
            response = self._protocol.accept(request)
        except InvalidHandshake as error:
            response = self._protocol.reject(400, str(error))
        self._protocol.send_response(response)
        self._send_back()
        if self._protocol.state is State.OPEN and self._ticket is not None:
            self._connection = self._ticket.open(self._transport)
            self._ticket = None

    def _send_back(self) -> None:
        """Handshake answers and closes for broken frames."""
        connection = self._connection
        failed = False
        if connection is not None and self._protocol.close_sent is not None and not self._failed:
            failed = self._failed = not connection.closing
            if failed:
                # First, because what was pushed before goes out before.
                connection.close_quietly()
            else:
                # Its goodbye breaks the rules too.
                self._transport.close()
        for data in self._protocol.data_to_send():
            if data and (connection is None or failed or not connection.closing):
                self._transport.write(data)
        if failed and self._transport.can_write_eof():
            # The library reads no more, not even the peer's goodbye: the end of the stream must tell it.
            self._transport.write_eof()
        if self._protocol.close_expected() and self._protocol.state is State.CLOSED:
            self._transport.close()

    def _frame(self, connection: Connection, frame: Frame) -> None:
        if connection.closing:
            if frame.opcode is Opcode.CLOSE:
                self._transport.close()
            return
        self._gateway.heard(connection)
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._text(connection, frame)
        elif frame.opcode is Opcode.BINARY:
            self._gateway.received_binary(connection, bytes(frame.data))
        elif frame.opcode is Opcode.PONG and connection.legacy is not None:
            self._gateway.ponged(connection, bytes(frame.data))
        elif frame.opcode is Opcode.PING:
            self._gateway.pinged(connection, bytes(frame.data))
        elif frame.opcode is Opcode.CLOSE:
            received = self._protocol.close_rcvd
            self._protocol.data_to_send()
            connection.answer_close(received.code if received is not None and received.code != 1005 else 1000)

    def _text(self, connection: Connection, frame: Frame) -> None:
        """The library has checked the order of fragments and the size of the whole."""
        if self._parts is None:
            self._parts = []
        self._parts.append(bytes(frame.data))
        if len(self._parts) > 1024:
            connection.close(Close.TOO_BIG, "a message has at most 1024 fragments")
            return
        if not frame.fin:
            return
        whole, self._parts = b"".join(self._parts), None
        try:
            text = whole.decode()
        except UnicodeDecodeError:
            connection.close(Close.NOT_UTF8, "text must be UTF-8")
            return
        self._gateway.received(connection, text)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._connection.lost()

    def pause_writing(self) -> None:
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        if self._connection is not None:
            self._connection.resume_writing()


def start(gateway: Admitter, ticket: Ticket, transport: asyncio.Transport, request: bytes, early: bytes) -> None:
    """Take the transport over."""
    protocol = Sansio(gateway, ticket, transport)
    transport.set_protocol(protocol)
    protocol.data_received(request)
    if early:
        protocol.data_received(early)
