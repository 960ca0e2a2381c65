"""`parley serve`: listeners, signals and uvicorn around the server that `app` puts together."""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from parley.app import Embedded, Parley, open_key, open_store
from parley.clock import SystemClock
from parley.observability import set_up_logging
from parley.settings import Settings

log = structlog.get_logger()

BACKLOG = 4096
HEAD_SECONDS = 10.0
"""How long a client may take to send a request's head before it is cut off: slow by design is an attack."""
HEAD_BYTES = 65_536


class PatientHttp(HttpToolsProtocol):
    """uvicorn's HTTP protocol with two bounds it lacks: on the time and on the size of a request's head."""

    _deadline: asyncio.TimerHandle | None = None
    """Runs while a head is awaited, from the connection's first moment on."""
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
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
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
        super().connection_lost(exc)


class Server(uvicorn.Server):
    """uvicorn, leaving the signals to us: draining comes first, and it awaits."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening.set()

    async def listening(self, serving: asyncio.Task[None]) -> None:
        """Wait until requests are taken. Raises what `serving` failed with, if it did."""
        waiting = asyncio.ensure_future(self._listening.wait())
        await asyncio.wait({waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if serving.done():
            serving.result()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code. Raises DataFolderInUse, SchemaMismatch, OSError for a port
    in use."""
    set_up_logging(settings.observability)
    clock = SystemClock()
    sockets = _listen(settings)
    store = open_store(settings, clock)
    key = open_key(settings)
    _raise_file_limit(settings.limits.connections)
    # Batches and sockets take turns with the interpreter's lock; the default 5 ms would be most of a message's latency.
    sys.setswitchinterval(0.0005)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(settings, store, key, sockets, clock))


async def _serve(
    settings: Settings, store: Embedded, key: bytes, sockets: list[socket.socket], clock: SystemClock
) -> int:
    parley = Parley(settings, store, key, clock)
    await parley.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    server = Server(_config(settings, parley))
    serving = loop.create_task(server.serve(sockets=sockets))
    await server.listening(serving)
    # What was made so far lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    await _say_where(settings, parley, sockets)
    waits = {loop.create_task(event.wait()) for event in (stop, parley.broken)} | {serving}
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    for listener in server.servers:
        listener.close()
    await parley.stop()
    server.should_exit = True
    await serving
    for waiting in waits:
        waiting.cancel()
    return 1 if parley.broken.is_set() else 0


def _config(settings: Settings, parley: Parley) -> uvicorn.Config:
    server = settings.server
    return uvicorn.Config(
        parley.http,
        http=PatientHttp,
        ws=parley.websocket,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        ssl_certfile=str(server.tls_cert) if server.tls_cert else None,
        ssl_keyfile=str(server.tls_key) if server.tls_key else None,
        proxy_headers=bool(server.trusted_proxies),
        forwarded_allow_ips=server.trusted_proxies or None,
    )


def _listen(settings: Settings) -> list[socket.socket]:
    """Open every listener before anything else is begun. Raises OSError, naming the address."""
    addresses = [(settings.server.host, settings.server.port)]
    for row in settings.server.listen:
        name, _, number = row.rpartition(":")
        addresses.append((name.strip("[]"), int(number)))
    sockets: list[socket.socket] = []
    for host, port in addresses:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            listener = socket.socket(family[0], socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(family[4])
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except OSError as error:
            for opened in sockets:
                opened.close()
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        sockets.append(listener)
    return sockets


async def _say_where(settings: Settings, parley: Parley, sockets: list[socket.socket]) -> None:
    scheme = "https" if settings.server.tls_cert else "http"
    for listener in sockets:
        name, port = listener.getsockname()[:2]
        host = str(name)
        shown = f"[{host}]" if ":" in host else host
        print(f"{scheme}://{shown}:{port}", flush=True)  # noqa: T201 - the address is this command's output
    if await parley.accounts.first_account():
        print(  # noqa: T201 - for the eyes of whoever started the server, never for a log
            "No account yet: the first one made in a browser on this machine is the administrator's."
            f" From elsewhere it needs the set-up code {parley.accounts.setup_code}",
            flush=True,
        )


def _raise_file_limit(connections: int) -> None:
    """As many open files as the system lets us have; a warning if connections could run out of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and connections + 200 > hard:
        log.warning("few_open_files", allowed=hard, connections=connections)


def _loop_factory() -> Any:
    try:
        import uvloop  # noqa: PLC0415 - not there on every system
    except ImportError:
        return None
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    return uvloop.new_event_loop
