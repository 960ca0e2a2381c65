"""The composition root: the only place that names implementations. Read it from top to bottom; it is the server."""

import asyncio
import contextlib
import hmac
from collections.abc import Sequence

import structlog
from fastapi import FastAPI

from parley.app.assistant import AssistantParts
from parley.app.between import open_between
from parley.app.company import Company
from parley.app.files import FileParts
from parley.app.logs import Partitions, open_log, open_stream
from parley.app.stores import Store, open_key, open_store
from parley.clock import Clock, SystemClock
from parley.dialects.shared import color_of
from parley.dispatch import Dispatch
from parley.gateway import picows_engine, sansio_engine
from parley.gateway.catchup import CatchUp
from parley.gateway.connection import Outbound
from parley.gateway.door import AccountDoor
from parley.gateway.gateway import Gateway
from parley.gateway.greeter import Greeter
from parley.gateway.heartbeat import Wheel
from parley.gateway.hub import Hub
from parley.gateway.legacy.admission import LegacyDoor
from parley.gateway.legacy.by_number import DirectManners, KamaManners
from parley.gateway.legacy.manners import Manners
from parley.gateway.legacy.one_room import LobbyManners, RoomManners
from parley.gateway.legacy.rosters import Rosters
from parley.gateway.limits import Bucket, Places
from parley.gateway.session import Sessions
from parley.gateway.source import ServiceSource
from parley.gateway.typing_notices import TypingNotices
from parley.gateway.upgrade import upgrade_class
from parley.gateway.watching import Watching
from parley.http.app import create_app, create_operations_app
from parley.observability import Metrics
from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, SessionId, UserId
from parley.services.accounts import CODE_LETTERS, Accounts
from parley.services.bots import Bots
from parley.services.conversations import Conversations
from parley.services.history import History
from parley.services.legacy import Legacy
from parley.services.webhooks import Webhooks
from parley.settings import Settings
from parley.store.interface import StoreBroken, StoreUnavailable

log = structlog.get_logger()

SWEEP_SECONDS = 3600.0
ENGINES = {"picows": picows_engine.start, "sansio": sansio_engine.start}


class Parley:
    """A running server's parts, put together. Needs a running event loop; `start` before use, `stop` once."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        key: bytes,
        clock: Clock | None = None,
        topics: Partitions | None = None,
    ) -> None:
        """`key` signs tokens; `topics` as `open_topics` found them."""
        limits = settings.limits
        self.settings = settings
        self.clock = clock or SystemClock()
        self.metrics = Metrics()
        self.store = store
        self.database = store.database
        self.broken = asyncio.Event()
        """Set when the process must stop: the disk did not keep a promise, or another process has its number."""

        # Fan-out: what was committed, to whoever hears it, here and on other nodes
        self.outbound = Outbound(limits.queue_frames, limits.queue_bytes)
        self.hub = Hub(self.outbound)
        self.between = open_between(settings, store, self.hub, self.clock, self.metrics)
        self.fanout, self.presence = self.between.fanout, self.between.presence
        self.hub.ears = self.between.ears
        self.metrics.fanout_reaches_others.set_function(lambda: self.fanout.reaches_others)

        # The stream: what was committed, once more, to a topic for others to read
        self.stream = open_stream(settings, store, self.metrics)

        # The log: what is asked, into the store
        self._loop = asyncio.get_running_loop()
        store.database.writer.on_broken = self._break_from_a_thread
        self.way = open_log(
            settings,
            topics or {},
            store,
            self._publish,
            self.clock,
            self.metrics,
            turn_done=self.outbound.flush,
            on_broken=self._break,
        )
        self.log = self.way.log

        # The services
        self.accounts = Accounts(
            settings,
            self.database,
            self.clock,
            key,
            node=store.node.id,
            tickets=self.between.tickets,
            throttles=self.between.throttles,
        )
        if store.shared:
            # Whoever has read it at one node may be led to another.
            self.accounts.setup_code = common_setup_code(key, store.epoch)
        self.conversations = Conversations(self.database, self.clock, store.ids, self._announce, limits)
        self.history = History(self.database)
        self._file_parts = FileParts(settings, self.database, self.clock, store.ids, self.fanout, key)
        self.uploads, self.chunked = self._file_parts.uploads, self._file_parts.chunked
        self.files = self._file_parts.files
        self.dispatch = Dispatch(self.log, self.conversations, text_chars=limits.text_chars)

        self.assistant = AssistantParts(
            settings,
            database=self.database,
            clock=self.clock,
            log=self.log,
            fanout=self.fanout,
            growing=self.hub.growing,
            registry=self.metrics.registry,
        )
        if "appender" not in settings.server.roles:
            # What it asks for is committed elsewhere, and heard of here like anything else.
            self.hub.on_entries = self.assistant.heard

        self.legacy = Legacy(
            self.database, self.clock, self.conversations, self.history, rooms=limits.rooms,
            reserved=[settings.assistant.name], links=self.files.links.of, node=store.node.id,
        )  # fmt: skip

        self.bots = Bots(settings, self.database, self.clock, self.accounts.sessions)
        self.webhooks = Webhooks(
            self.database, self.clock, self.dispatch, self.between.throttles, settings.bots, self.legacy.may_be_called
        )

        # The gateway: sockets
        source = ServiceSource(self.conversations, self.history, self.legacy)
        self.catch_up = CatchUp(self.hub, source, store.epoch)
        self.catch_up.on_healed = self.metrics.healed.inc
        self.hub.attacher = self.catch_up
        self.wheel = Wheel(settings.heartbeat.ping_s, settings.heartbeat.silence_s)
        watching = Watching(self.hub, self.presence)
        bucket = Bucket(limits.messages_per_second, limits.burst)
        sessions = Sessions(
            dispatch=self.dispatch,
            hub=self.hub,
            fanout=self.fanout,
            catch_up=self.catch_up,
            typing=TypingNotices(self.hub, self.fanout, self.conversations.member_count),
            watching=watching,
            acquaintance=self.conversations,
            bucket=bucket,
        )
        self.gateway = Gateway(
            door=AccountDoor(self.accounts, settings.auth.allowed_origins),
            greeter=Greeter(
                self.accounts,
                self.conversations,
                _told_limits(settings),
                self.assistant.told,
                everyone_makes_bots=settings.bots.create == "everyone",
            ),
            hub=self.hub,
            sessions=sessions,
            watching=watching,
            wheel=self.wheel,
            places=Places(limits.connections, limits.connections_per_user, limits.connections_per_address),
            bucket=bucket,
            outbound=self.outbound,
            clock=self.clock,
            frame_bytes=limits.frame_bytes,
            heartbeat_s=round(settings.heartbeat.ping_s),
            manners=self._manners(sessions),
            catch_up=self.catch_up,
        )
        sessions.assistant = self.assistant
        self.marked = sessions.marked
        self.hub.on_session_ended = self._ended_elsewhere
        self.company = Company(self.hub, store, self.accounts, self.broken.set)
        self.accounts.on_session_ended.append(self.gateway.end_session)
        self.accounts.on_session_ended.append(self.fanout.session_ended)
        self.websocket = upgrade_class(
            self.gateway, ENGINES[settings.websocket.engine], settings.server.trusted_proxies
        )
        self.metrics.slow_consumers.set_function(lambda: self.outbound.closed_slow)
        self.metrics.connections.set_function(lambda: self.gateway.connections)
        self.http: FastAPI = create_app(self) if self.serves_clients else create_operations_app(self)

    def _manners(self, sessions: Sessions) -> dict[str, Manners]:
        """The older dialects that are on."""
        settings, server = self.settings, self.settings.server
        door = LegacyDoor(
            self.accounts, allowed_origins=settings.auth.allowed_origins, guests=settings.auth.guests,
            listeners=[server.host, *server.listen],
        )  # fmt: skip
        parts = (self.hub, self.legacy, self.catch_up, sessions, door)
        kama = settings.compat.kama
        self.rosters = Rosters(self.hub, self.fanout, color_of, self.clock.now_ms)
        known: dict[str, Manners] = {
            "lobby": LobbyManners(*parts, self.dispatch, self.clock, self.rosters),
            "room": RoomManners(*parts, self.dispatch, self.clock, self.rosters),
            "direct": DirectManners(*parts, fanout=self.fanout, throttles=self.between.throttles),
            "kama": KamaManners(
                *parts, self.dispatch, self.fanout, text_type=kama.text_type, trust_client_id=kama.trust_client_id
            ),
        }
        return {name: manners for name, manners in known.items() if name in settings.compat.enabled}

    @property
    def draining(self) -> bool:
        return self.gateway.draining

    @property
    def serves_clients(self) -> bool:
        """False for an appender alone: it answers whoever operates it, and nobody else."""
        return "gateway" in self.settings.server.roles

    def not_ready(self) -> list[str]:
        return [] if self.way.reason is None else [self.way.reason]

    def degraded(self) -> list[str]:
        return [] if self.between.degraded is None else [self.between.degraded]

    def _publish(self, entries: Sequence[Entry]) -> None:
        """What this process has just committed: to whoever hears it, to the stream, and to the assistant, which may be
        asked in it."""
        self.fanout.publish(entries)
        if self.stream is not None:
            self.stream.heard(entries)
        if self.serves_clients:
            self.assistant.heard(entries)

    def _announce(self, conversation_id: ConversationId, made: list[Entry], users: list[UserId]) -> None:
        """A conversation was made: its first entries invite their members; a direct has none and invites both by
        hand."""
        if made:
            self._publish(made)
        else:
            self.fanout.invite(conversation_id, users, 0)

    def _ended_elsewhere(self, session_id: SessionId | None, user: UserId) -> None:
        self.accounts.sessions.ended_elsewhere(session_id, user)
        self.gateway.end_session(session_id, user)

    def _break_from_a_thread(self, error: StoreBroken) -> None:
        self._loop.call_soon_threadsafe(self._break, error)

    def _break(self, error: StoreBroken) -> None:
        log.critical("store_broken", error=str(error))
        self.broken.set()

    async def start(self) -> None:
        """Raises KafkaError; the store is closed then."""
        self.store.start()
        await self.accounts.start()
        await self.between.start()
        try:
            await self.way.start()
        except BaseException:
            await self.between.close()
            await self.accounts.close()
            self.store.close()
            raise
        self._file_parts.start()
        if self.serves_clients:
            await self.assistant.start()
        if self.stream is not None:
            await self.stream.start()
        self.wheel.start()
        self.company.start()
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def _sweep(self) -> None:
        """Every hour: guests of yesterday who never wrote."""
        while True:
            try:
                await self.legacy.sweep_guests(frozenset(self.hub.users))
                await self.assistant.sweep()
            except StoreUnavailable as error:
                log.warning("guests_not_swept", error=str(error))
            await asyncio.sleep(SWEEP_SECONDS)

    async def stop(self) -> None:
        """Drain: refuse what is new as retryable, settle what was accepted, send everybody away, close the store."""
        self._sweeping.cancel()
        await self.assistant.stop()
        await self.gateway.drain(self.log.drain)
        await self.assistant.close()
        await self.company.stop()
        await self.way.stop()
        if self.stream is not None:
            await self.stream.stop()
        await self._file_parts.close()
        self.wheel.stop()
        self.rosters.close()
        await self.between.close()
        await self.accounts.close()
        await asyncio.get_running_loop().run_in_executor(None, self.store.close)


def _told_limits(settings: Settings) -> dict[str, int]:
    """What clients need to know to stay within bounds."""
    limits = settings.limits
    return {"frame_bytes": limits.frame_bytes, "text_chars": limits.text_chars, "upload_bytes": limits.upload_bytes}


def common_setup_code(key: bytes, epoch: str) -> str:
    """Of all nodes on this database, while it has no account. In the form that `Accounts` makes them in."""
    mac = hmac.digest(key, b"setup code of " + epoch.encode(), "sha256")
    letters = [CODE_LETTERS[byte % len(CODE_LETTERS)] for byte in mac[:20]]
    return "-".join("".join(letters[start : start + 5]) for start in range(0, 20, 5))


@contextlib.asynccontextmanager
async def running(settings: Settings, clock: Clock | None = None):  # type: ignore[no-untyped-def]
    """A started server without its listeners, for tests that talk to its parts."""
    at = clock or SystemClock()
    parley = Parley(settings, open_store(settings, at), open_key(settings), at)
    await parley.start()
    try:
        yield parley
    finally:
        await parley.stop()
