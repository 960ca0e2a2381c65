"""uvicorn's HTTP protocol with the bounds it lacks."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_SECONDS = 10.0
"""How long a client may take to send a request's head before it is cut off: slow by design is an attack."""
HEAD_BYTES = 65_536
REST_SECONDS = 30.0
"""How long the rest of a body may still come that was answered before its end. It is read and dropped: closing at once
would take the answer back."""


class PatientHttp(HttpToolsProtocol):
    """A bound on the time and on the size of a request's head."""

    _deadline: asyncio.TimerHandle | None = None
    """Runs while a head is awaited, from the connection's first moment on."""
    _rest: asyncio.TimerHandle | None = None
    _in_body = False
    _head_bytes = 0
    _header_bytes = 0
    _refused = False
    _handed_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()

    def _in_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        under_way = self._deadline is not None
        super().data_received(data)
        if self._handed_over:
            return
        if self._deadline is not None and under_way:
            self._head_bytes += len(data)
            self._check(self._head_bytes)
        elif self._in_body:
            if self._rest is None and self.cycle.response_complete:
                self._rest = self.loop.call_later(REST_SECONDS, self._too_slow)
        elif self.timeout_keep_alive_task is None and self._between_requests():
            # Line breaks between requests: they begin nothing, and have ended the wait of an idle connection.
            self._expect_head()

    def _between_requests(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _check(self, size: int) -> None:
        if size > HEAD_BYTES and not self._refused:
            self._refused = True
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            # Closing at once, with the rest unread, would take the answer back. The deadline does it.
            self._expect_head()
            if self.transport.can_write_eof():
                self.transport.write_eof()

    def on_message_begin(self) -> None:
        self._expect_head()
        self._head_bytes = self._header_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # For a head that comes in one piece; one that comes in many is counted as they come.
        self._header_bytes += len(name) + len(value)
        self._check(self._header_bytes)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._refused:
            self._in_time()
            self._in_body = True
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if not self._refused:
            super().on_message_complete()

    def _should_upgrade(self) -> bool:
        return not self._refused and super()._should_upgrade()

    def handle_websocket_upgrade(self) -> None:
        """Hand the socket over, and let go of it: parser and protocol hold each other, 2 KiB for each connection."""
        super().handle_websocket_upgrade()
        self._handed_over = True
        for name in ("parser", "headers", "scope", "flow", "transport", "cycle"):
            setattr(self, name, None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        if self._rest is not None:
            self._rest.cancel()
        super().connection_lost(exc)
