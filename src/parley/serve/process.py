"""One server process: signals and uvicorn around the server that `app` puts together."""

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

from parley.app import Parley, Partitions, Store, open_key, open_store, open_topics
from parley.clock import SystemClock
from parley.observability import set_up_logging
from parley.serve.listeners import BACKLOG, addresses, listen, open_listener
from parley.serve.patience import PatientHttp
from parley.serve.workers import Worker, supervise
from parley.settings import Settings

log = structlog.get_logger()

LOOPBACK = "127.0.0.1"


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
    """Run until SIGTERM or SIGINT, in this process or in workers. Returns the exit code. Raises what keeps a
    server from starting: DataFolderInUse, SchemaMismatch, BadSigningKey, StoreUnavailable, OSError (port in use)."""
    listeners = listen(settings)
    worker = None
    if settings.server.workers > 1:
        set_up_logging(settings.observability, file=False)
        fate = supervise(settings.server.workers, lambda note: _say(*addresses(settings, listeners), note))
        if isinstance(fate, int):
            return fate
        worker = fate
    return _run(settings, listeners, worker)


def _run(settings: Settings, listeners: list[socket.socket], worker: Worker | None) -> int:
    set_up_logging(settings.observability, worker=None if worker is None else worker.number)
    if worker is not None and settings.server.worker_port:
        own = (LOOPBACK, settings.server.worker_port + worker.number)
        listeners = [*listeners, open_listener(*own)]
    clock = SystemClock()
    key = open_key(settings)
    _raise_file_limit(settings.limits.connections)
    # Batches and sockets take turns with the interpreter's lock; the default 5 ms would be most of a message's latency.
    sys.setswitchinterval(0.0005)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        topics = runner.run(open_topics(settings))
        store = open_store(settings, clock)
        return runner.run(_serve(settings, store, key, clock, topics, listeners, worker))


async def _serve(
    settings: Settings,
    store: Store,
    key: bytes,
    clock: SystemClock,
    topics: Partitions,
    listeners: list[socket.socket],
    worker: Worker | None,
) -> int:
    parley = Parley(settings, store, key, clock, topics)
    await parley.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    if worker is not None:
        loop.add_reader(worker.leash, stop.set)
    server = Server(uvicorn_config(settings, parley))
    serving = loop.create_task(server.serve(sockets=listeners))
    await server.listening(serving)
    # What was made so far lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    if worker is not None:
        worker.ready(await _welcome_note(parley))
    else:
        _say(*addresses(settings, listeners), await _welcome_note(parley))
    waits = {loop.create_task(event.wait()) for event in (stop, parley.broken)} | {serving}
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    if worker is not None:
        loop.remove_reader(worker.leash)
    for listener in server.servers:
        listener.close()
    await parley.stop()
    server.should_exit = True
    await serving
    for waiting in waits:
        waiting.cancel()
    return 1 if parley.broken.is_set() else 0


def uvicorn_config(settings: Settings, parley: Parley) -> uvicorn.Config:
    server = settings.server
    return uvicorn.Config(
        parley.http,
        http=PatientHttp,
        ws=parley.websocket if parley.serves_clients else "none",
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


def _say(*lines: str) -> None:
    for line in lines:
        if line:
            print(line, flush=True)  # noqa: T201 - where the server is, is this command's output


async def _welcome_note(parley: Parley) -> str:
    """For the eyes of whoever started the server, never for a log."""
    if not await parley.accounts.first_account():
        return ""
    return (
        "No account yet: the first one made in a browser on this machine is the administrator's."
        f" From elsewhere it needs the set-up code {parley.accounts.setup_code}"
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
