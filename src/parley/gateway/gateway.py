"""The door for sockets: who may come in, in which dialect, what they are told first, and how all of them leave."""

import asyncio
import itertools
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog

from parley.clock import Clock, rfc3339
from parley.dialects.base import Codec
from parley.dialects.native import NativeCodec
from parley.gateway.catchup import CatchUp
from parley.gateway.connection import Connection, Outbound, Wire
from parley.gateway.framing import PONG, frame
from parley.gateway.handshake import UpgradeRequest
from parley.gateway.heartbeat import Wheel
from parley.gateway.hub import Hub
from parley.gateway.legacy.choice import choose, is_legacy
from parley.gateway.legacy.manners import LegacyState, Manners
from parley.gateway.limits import Bucket, Places
from parley.gateway.session import Sessions
from parley.gateway.watching import Watching
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Close, Code
from parley.protocol.types import ConversationId, UserId
from parley.store.interface import StoreUnavailable

log = structlog.get_logger()

NATIVE_PATH = "/api/v1/ws"
SUBPROTOCOL = "parley.v1.json"
FINISH_SECONDS = 10.0
"""For the log to settle what it accepted. What is open then, its client repeats elsewhere with the same client_id."""
GOODBYE_SECONDS = 5.0
TASK_SECONDS = 5.0
SPREAD_MS = 1_000
A_MS = 10
"""A drained server's clients come back spread over a millisecond for every ten of them, and `SPREAD_MS` at most: few
need not wait for each other."""


class Identity(Protocol):
    @property
    def actor(self) -> Actor: ...
    @property
    def session_id(self) -> int: ...


class Door(Protocol):
    """Lets sockets in: authentication and origin, as the accounts service knows them."""

    async def identify(self, request: UpgradeRequest) -> Identity:
        """Raises ChatError: unauthenticated, session_ended, origin_refused."""

    def address_of(self, request: UpgradeRequest) -> str | None:
        """The address to count connections by; None for one that is not counted."""


class Greeter(Protocol):
    async def greet(self, actor: Actor) -> tuple[dict[str, Any], Mapping[ConversationId, int]]:
        """(welcome without what concerns the socket, heads of every conversation the user reads), read at one
        moment."""


class Admission:
    """A granted upgrade. `open` is called once, when the handshake is done."""

    def __init__(
        self,
        gateway: "Gateway",
        actor: Actor,
        session_id: int,
        codec: Codec,
        address: str | None,
        subprotocol: str | None,
        legacy: LegacyState | None = None,
    ) -> None:
        self.actor = actor
        self.session_id = session_id
        self.legacy = legacy
        self.codec = codec
        self.address = address
        self.subprotocol = subprotocol
        self._gateway = gateway

    def open(self, wire: Wire) -> Connection:
        return self._gateway.opened(self, wire)


class _Endings:
    """Sessions that end while somebody is being let in; None: all of a user."""

    def __init__(self) -> None:
        self.ended: set[tuple[int | None, UserId]] = set()


class Gateway:
    """All connections of this process."""

    def __init__(
        self,
        *,
        door: Door,
        greeter: Greeter,
        hub: Hub,
        sessions: Sessions,
        watching: Watching,
        wheel: Wheel,
        places: Places,
        bucket: Bucket,
        outbound: Outbound,
        clock: Clock,
        frame_bytes: int,
        heartbeat_s: int,
        manners: Mapping[str, Manners],
        catch_up: CatchUp,
    ) -> None:
        self.frame_bytes = frame_bytes
        self.draining = False
        self._door = door
        self._greeter = greeter
        self._hub = hub
        self._sessions = sessions
        self._watching = watching
        self._wheel = wheel
        self._places = places
        self._bucket = bucket
        self._outbound = outbound
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._manners = manners
        self._catch_up = catch_up
        self._native = NativeCodec()
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._boot = secrets.token_hex(4)
        self._open: set[Connection] = set()
        self._admitting: set[_Endings] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._all_gone = asyncio.Event()
        self.received = sessions.received

    @property
    def connections(self) -> int:
        return len(self._open)

    # Coming in

    async def admit(self, request: UpgradeRequest) -> Admission:
        """Before the upgrade: raises ChatError, which becomes an HTTP answer."""
        if self.draining:
            raise ChatError(Code.DRAINING)
        meanwhile = _Endings()
        self._admitting.add(meanwhile)
        try:
            admission = await self._admit(request)
        finally:
            self._admitting.discard(meanwhile)
        # The store may have been asked before what ended meanwhile, and nobody would tell this socket again.
        if meanwhile.ended & {(admission.session_id, admission.actor.user_id), (None, admission.actor.user_id)}:
            raise ChatError(Code.SESSION_ENDED)
        if self.draining:
            raise ChatError(Code.DRAINING)
        return admission

    async def _admit(self, request: UpgradeRequest) -> Admission:
        if is_legacy(request.path):
            return await self._admit_legacy(request)
        if request.path != NATIVE_PATH:
            raise ChatError(Code.NOT_FOUND, "There is no WebSocket here.")
        identity = await self._door.identify(request)
        subprotocol = SUBPROTOCOL if SUBPROTOCOL in request.subprotocols else None
        address = self._door.address_of(request)
        self._places.check(identity.actor.user_id, address)
        return Admission(self, identity.actor, identity.session_id, self._native, address, subprotocol)

    async def _admit_legacy(self, request: UpgradeRequest) -> Admission:
        choice = choose(request.path, request.query, request.headers, self._manners.keys())
        manners = self._manners[choice.dialect]
        let = await manners.admit(request, choice)
        address = self._door.address_of(request)
        self._places.check(let.actor.user_id, address)
        return Admission(
            self, let.actor, let.session_id, let.codec, address, None, LegacyState(manners, let.label)
        )  # fmt: skip

    def opened(self, admission: Admission, wire: Wire) -> Connection:
        """The handshake is done. Until welcome is sent the connection is busy: what it sends early waits."""
        connection = Connection(
            f"{self._boot}-{next(self._numbers)}",
            admission.actor,
            admission.session_id,
            admission.codec,
            wire,
            self._outbound,
        )
        user, address = admission.actor.user_id, admission.address
        try:
            self._places.take(user, address)
        except ChatError as error:
            connection.close(Close.MALFORMED_FLOOD, error.message)
            return connection
        connection.on_closed = lambda closed: self._closed(closed, user, address)
        connection.busy = True
        self._open.add(connection)
        self._all_gone.clear()
        self._wheel.add(connection)
        # Before the store is read: whoever is added to a conversation from here on is told.
        self._hub.enter(connection)
        if admission.legacy is None:
            self._keep(self._welcome(connection))
        else:
            connection.legacy = admission.legacy
            connection.live, connection.bases, connection.early = True, None, None
            self._keep(self._greet(connection, admission.legacy))
        return connection

    async def _welcome(self, connection: Connection) -> None:
        try:
            welcome, heads = await self._greeter.greet(connection.actor)
        except ChatError as error:
            connection.close(Close.SESSION_ENDED, error.message)
            return
        except Exception:
            log.exception("welcome_failed", connection=connection.id)
            connection.close(Close.SERVER_ERROR, "try again")
            return
        told, connection.bases = connection.bases or {}, dict(heads)
        now = rfc3339(self._clock.now_ms())
        welcome |= {"connection_id": connection.id, "server_time": now, "heartbeat_s": self._heartbeat_s}
        payload = connection.codec.welcome(welcome)
        if payload is not None:
            connection.push(frame(payload))
        early, connection.early = connection.early or [], None
        for signal in early:
            self._hub.tell(connection, signal)
        for conversation, cursor in told.items():
            # What it was added to after welcome's moment.
            if conversation not in heads:
                self._hub.attach(connection, conversation, cursor)
        self._sessions.ready(connection)

    async def _greet(self, connection: Connection, legacy: LegacyState) -> None:
        """What a dialect does in place of a welcome."""
        try:
            await legacy.manners.opened(connection)
        except (ChatError, StoreUnavailable) as error:
            log.warning("greeting_failed", connection=connection.id, error=str(error))
            connection.close(Close.SERVER_ERROR, "try again")
        except Exception:
            log.exception("greeting_failed", connection=connection.id)
            connection.close(Close.SERVER_ERROR, "try again")
        self._sessions.ready(connection)

    # Frames

    def received_binary(self, connection: Connection, data: bytes) -> None:
        legacy = connection.legacy
        if legacy is None or not legacy.manners.takes_binary:
            connection.close(Close.NOT_UNDERSTOOD, "only text frames are understood here")
        elif not self._bucket.take(connection, self._loop.time()):
            legacy.manners.binary(connection, data)
        else:
            self._sessions.slow_down(connection)

    def ponged(self, connection: Connection, payload: bytes) -> None:
        if connection.legacy is not None:
            connection.legacy.manners.ponged(connection, payload)

    def heard(self, connection: Connection) -> None:
        connection.heard = self._wheel.now

    def pinged(self, connection: Connection, payload: bytes) -> None:
        """A pong, at the rate that commands have too: a flood of pings is worth no more than a flood of messages."""
        if not self._bucket.take(connection, self._loop.time()):
            connection.push(frame(payload, PONG))
        else:
            self._sessions.slow_down(connection)

    # Going

    def _closed(self, connection: Connection, user: UserId, address: str | None) -> None:
        self._open.discard(connection)
        self._places.free(user, address)
        self._watching.forget(connection)
        self._hub.leave(connection)
        if connection.legacy is not None:
            connection.legacy.manners.closed(connection)
        if connection.catching:
            for task in connection.catching.values():
                task.cancel()
        if not self._open:
            self._all_gone.set()

    def end_session(self, session_id: int | None, user: UserId) -> None:
        """Close the sockets of a session that has ended; None: all of the user's."""
        for admitting in self._admitting:
            admitting.ended.add((session_id, user))
        for connection in self._hub.connections_of(user):
            if session_id is None or connection.session_id == session_id:
                connection.close(Close.SESSION_ENDED, "the session has ended")

    async def drain(self, finish: Callable[[], Awaitable[None]]) -> None:
        """Let nobody in, let `finish` settle what was accepted, then send everybody away to come back elsewhere or
        later."""
        self.draining = True
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                await finish()
        except TimeoutError:
            log.error("drain_unfinished", seconds=FINISH_SECONDS)
        self._outbound.flush()
        spread = min(SPREAD_MS, len(self._open) // A_MS)
        for connection in list(self._open):
            connection.close(Close.DRAINING, f"draining: come back in {random.randint(0, spread)} ms")
        if self._open:
            try:
                await asyncio.wait_for(self._all_gone.wait(), GOODBYE_SECONDS)
            except TimeoutError:
                log.info("drain_cut", connections=len(self._open))
        for connection in list(self._open):
            connection.wire.abort()
        await self._end_tasks()

    async def _end_tasks(self) -> None:
        """What still runs for sockets that are gone reads a store that is about to close."""
        tasks = [*self._tasks, *self._sessions.tasks, *self._catch_up.tasks]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=TASK_SECONDS)
        for task in late:
            task.cancel()
        if late:
            log.warning("drain_cancelled", tasks=len(late))
            await asyncio.wait(late)

    def _keep(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
