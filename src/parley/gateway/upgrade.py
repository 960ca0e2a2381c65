"""From uvicorn's socket to a connection: wait for admission, then hand the transport to a WebSocket engine.

uvicorn gives the class it was told by `ws=` the transport and the upgrade request. Admission may have to ask the
store, so the answer comes a moment later; a client waits for it (RFC 6455 4.1), and what one sends too early is kept,
up to a bound.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from parley.gateway.connection import Connection, Wire
from parley.gateway.handshake import AnsweredOtherwise, UpgradeRequest, parse_request, refusal
from parley.gateway.proxies import Proxies
from parley.protocol.errors import ChatError, Code
from parley.store.interface import StoreUnavailable

log = structlog.get_logger()

ADMISSION_SECONDS = 10.0
EARLY_BYTES = 65_536


class Ticket(Protocol):
    """An admission, good for one connection."""

    subprotocol: str | None

    def open(self, wire: Wire) -> Connection: ...


class Admitter(Protocol):
    """What an engine and the upgrade need of the gateway."""

    frame_bytes: int

    async def admit(self, request: UpgradeRequest) -> Ticket:
        """Raises ChatError to refuse before the upgrade."""

    def received(self, connection: Connection, text: str) -> None: ...
    def pinged(self, connection: Connection, payload: bytes) -> None: ...
    def received_binary(self, connection: Connection, data: bytes) -> None: ...
    def ponged(self, connection: Connection, payload: bytes) -> None: ...
    def heard(self, connection: Connection) -> None: ...


Engine = Callable[[Admitter, Ticket, asyncio.Transport, bytes, bytes], None]
"""(gateway, ticket, transport, upgrade request, early bytes): take the transport over and answer 101."""


def upgrade_class(gateway: Admitter, engine: Engine, trusted_proxies: Sequence[str] = ()) -> type[asyncio.Protocol]:
    """The class for uvicorn's `ws=`, bound to this gateway and engine."""
    proxies = Proxies(trusted_proxies)

    class Upgrade(asyncio.Protocol):
        """One upgrade under way."""

        def __init__(self, **_uvicorn: Any) -> None:
            self._transport: asyncio.Transport
            self._request = b""
            self._early = b""
            self._asked = False
            self._task: asyncio.Task[None] | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
            self._transport = transport  # type: ignore[assignment]

        def data_received(self, data: bytes) -> None:
            if not self._asked:
                self._asked = True
                self._request = data
                self._task = asyncio.get_running_loop().create_task(self._decide())
            elif len(self._early) + len(data) <= EARLY_BYTES:
                self._early += data
            else:
                self._transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._task is not None:
                self._task.cancel()

        async def _decide(self) -> None:
            peer = self._transport.get_extra_info("peername")
            secure = self._transport.get_extra_info("sslcontext") is not None
            try:
                request = parse_request(self._request, peer[0] if peer else None, secure)
                async with asyncio.timeout(ADMISSION_SECONDS):
                    ticket = await gateway.admit(proxies.seen_through(request))
            except ChatError as error:
                self._refuse(error)
            except ValueError:
                self._refuse(ChatError(Code.BAD_PAYLOAD, "The request does not open a WebSocket of version 13."))
            except TimeoutError:
                self._refuse(ChatError(Code.BUSY))
            except StoreUnavailable:
                self._refuse(ChatError(Code.STORAGE_UNAVAILABLE))
            except Exception:
                log.exception("admission_failed")
                self._refuse(ChatError(Code.INTERNAL))
            else:
                raw, early, self._request, self._early = self._request, self._early, b"", b""
                engine(gateway, ticket, self._transport, raw, early)
            finally:
                # The task and this hold each other; nothing of it is wanted any more.
                self._task = None

        def _refuse(self, error: ChatError) -> None:
            self._transport.write(error.answer if isinstance(error, AnsweredOtherwise) else refusal(error))
            self._transport.close()

    return Upgrade


def header_of(request: bytes, name: str) -> str:
    """A header of the raw upgrade request, or an empty string."""
    for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name.encode():
            return value.strip().decode("latin-1")
    return ""
