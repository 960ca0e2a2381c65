"""Direct and kama: sockets of an account that hear all its conversations, and are served what they missed."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

import msgspec

from parley.client_ids import new_client_id
from parley.dialects.base import Codec, Request
from parley.dialects.direct import DirectCodec
from parley.dialects.kama import KAMA_LOGOUT, LOGGED_OUT, NO_CLIENT_ID, WELCOME, KamaCodec, claims_other
from parley.dispatch import Dispatch
from parley.fanout.interface import FanOut
from parley.gateway.catchup import CatchUp
from parley.gateway.connection import Connection
from parley.gateway.framing import PING, frame
from parley.gateway.handshake import AnsweredOtherwise, UpgradeRequest, plain_answer
from parley.gateway.hub import Hub
from parley.gateway.legacy.admission import LegacyDoor
from parley.gateway.legacy.away import AwayMarks
from parley.gateway.legacy.choice import Choice
from parley.gateway.legacy.manners import LetIn, Manners, Performer
from parley.protocol.commands import SendMessage, SignalCall
from parley.protocol.errors import BadFrame, ChatError, Close, Code
from parley.protocol.events import About, Entry, Signal
from parley.protocol.types import ConversationId, ConversationKind, MessageKind, UserId
from parley.services.legacy import Legacy
from parley.services.policy import parse_id
from parley.services.throttle.interface import Throttles

REPLACEMENTS = 5
"""Of one user's connection in a minute."""
SAME_MOMENT_SECONDS = 1.0
"""Nodes hear of each other's connections well within this."""


class ByNumber(Manners, ABC):
    """The common part."""

    hears_lobby = True
    takes_binary = True

    def __init__(self, hub: Hub, legacy: Legacy, catch_up: CatchUp, performer: Performer, door: LegacyDoor) -> None:
        super().__init__(hub, legacy, catch_up, performer)
        self.door = door

    async def opened(self, connection: Connection) -> None:
        # What it is added to meanwhile waits for this: one and the same page must not be sent twice.
        connection.resuming = asyncio.current_task()
        try:
            await self._serve(connection)
        finally:
            connection.resuming = None

    async def _serve(self, connection: Connection) -> None:
        heads = await self.legacy.heard_by(connection.actor, lobby=self.hears_lobby)
        marks = AwayMarks(self.legacy, connection.actor.user_id, self.dialect)
        state = connection.legacy
        assert state is not None
        state.away = marks
        starts = await marks.load(heads, await self.legacy.lobby())
        await self.listen(connection, dict(starts))
        # At once, and not with the next heartbeat: what was served now is not served again after a cut.
        connection.push(frame(self.ping_payload(connection), PING))

    def ping_payload(self, connection: Connection) -> bytes:
        state = connection.legacy
        assert state is not None
        return state.away.ping(connection) if state.away is not None else b""

    def ponged(self, connection: Connection, payload: bytes) -> None:
        state = connection.legacy
        assert state is not None
        if state.away is not None:
            arrived = state.away.ponged(payload)
            if arrived:
                self.performer.delivered(connection, arrived)

    def binary(self, connection: Connection, data: bytes) -> None:
        self.performer.refuse(connection, None, BadFrame("Only text frames are understood here."))

    @abstractmethod
    def wrote(self, connection: Connection, entry: Entry) -> bool:
        """Whether this is what the socket is not to hear back where its dialect does not echo."""

    def attach(self, connection: Connection, conversation_id: ConversationId, cursor: int) -> None:
        if connection.closing or (connection.catching is not None and conversation_id in connection.catching):
            return
        if connection.catching is None:
            connection.catching = {}
        connection.catching[conversation_id] = self.catch_up.spawn(
            connection, self._attach(connection, conversation_id, cursor)
        )

    async def _attach(self, connection: Connection, conversation_id: ConversationId, cursor: int) -> None:
        try:
            if connection.resuming is not None:
                await asyncio.wait([connection.resuming])
            await self.listen(connection, {conversation_id: cursor})
            await self.attached(connection, conversation_id)
        finally:
            if connection.catching is not None and connection.catching.get(conversation_id) is asyncio.current_task():
                del connection.catching[conversation_id]

    async def attached(self, connection: Connection, conversation_id: ConversationId) -> None:
        """It hears the conversation now."""


class DirectManners(ByNumber):
    """One connection per user, on whatever node; private messages are not echoed."""

    dialect = "direct"

    def __init__(self, *args: Any, fanout: FanOut, throttles: Throttles) -> None:
        super().__init__(*args)
        self._fanout = fanout
        self._replacements = throttles("replacement", REPLACEMENTS)
        self._codec: DirectCodec | None = None
        self._rooms: dict[str, ConversationId] = {}
        self._seated: dict[str, float] = {}
        """Connection -> since when, by the monotonic clock."""
        self._counting: set[asyncio.Task[None]] = set()

    async def codec(self) -> Codec:
        if self._codec is None:
            self._codec = DirectCodec(await self.legacy.lobby(), self._room_named, self.legacy.links)
        return self._codec

    def _room_named(self, name: str) -> ConversationId | None:
        """Of the rooms that somebody here hears; nobody writes to one they are not in."""
        for feed in self.hub.feeds.values():
            if feed.about.name == name:
                return feed.conversation_id
        return None

    async def admit(self, request: UpgradeRequest, choice: Choice) -> LetIn:
        self.door.check_origin(request)
        identity = await self.door.identify(request)
        await self._may_replace(identity.actor.user_id)
        return LetIn(identity.actor, identity.session_id, await self.codec())

    def _here(self, user: UserId) -> list[Connection]:
        here = self.hub.connections_of(user)
        return [c for c in here if c.codec.name == self.dialect and not c.closing]

    async def _may_replace(self, user: UserId) -> None:
        """Two clients that throw each other out for ever are a storm; the newcomer waits. Raises rate_limited."""
        if self._here(user):
            await self._replacements.take(str(user))
        elif self._fanout.reaches_others:
            # Whom it would replace may sit on another node, which counts when it gives up the seat.
            await self._replacements.look(str(user))

    def keeps_seat(self, connection: Connection, newer: str) -> bool:
        """The newer one has it. Of two that came at the same moment neither is newer: the greater id has it, and says
        so again, because the other may not have been there to hear it."""
        user = connection.actor.user_id
        same_moment = time.monotonic() - self._seated.get(connection.id, 0.0) < SAME_MOMENT_SECONDS
        if same_moment and connection.id > newer:
            self._fanout.seat_taken(user, self.dialect, connection.id)
            return True
        counting = asyncio.get_running_loop().create_task(self._count(user))
        self._counting.add(counting)
        counting.add_done_callback(self._counting.discard)
        return False

    async def _count(self, user: UserId) -> None:
        try:
            await self._replacements.take(str(user))
        except ChatError:
            pass  # there were enough already: the next one is refused

    async def opened(self, connection: Connection) -> None:
        for other in self._here(connection.actor.user_id):
            if other is not connection:
                other.close(Close.REPLACED, "replaced by a newer connection")
        self._seated[connection.id] = time.monotonic()
        self._fanout.seat_taken(connection.actor.user_id, self.dialect, connection.id)
        await super().opened(connection)

    def closed(self, connection: Connection) -> None:
        self._seated.pop(connection.id, None)

    def perform(self, connection: Connection, request: Request) -> Awaitable[None] | None:
        command = request.command
        if isinstance(command, SendMessage):
            marked = msgspec.structs.replace(command, client_id=f"{command.client_id}.{connection.id}")
            request = Request(request.ref, marked)
        return super().perform(connection, request)

    def wrote(self, connection: Connection, entry: Entry) -> bool:
        """This very socket; what the user writes on another device is heard."""
        return entry.by == connection.actor.user_id and entry.client_id.endswith(f".{connection.id}")

    async def attached(self, connection: Connection, conversation_id: ConversationId) -> None:
        """A group's members are told of it by a frame of its own."""
        facts = (await self.legacy.about([conversation_id])).get(conversation_id)
        if facts is not None and facts.kind != ConversationKind.DIRECT and not facts.lobby:
            members, owner = await self.legacy.members_and_owner(conversation_id)
            self.hub.tell(connection, _system(facts, "group_create", members, owner))

    def detached(self, connection: Connection, conversation_id: ConversationId) -> None:
        feed = self.hub.feeds.get(conversation_id)
        about = feed.about if feed is not None else About(conversation_id)
        self.hub.tell(connection, _system(about, "group_dismiss", [], None))


def _system(about: About, kind: str, members: list[UserId], owner: UserId | None) -> Signal:
    info = {
        "groupId": str(about.conversation_id),
        "groupName": about.title or about.name or "",
        "memberIds": [str(member) for member in members],
        "creatorId": str(owner) if owner is not None else "",
    }
    return Signal("direct.system", {"systemType": kind, "groupInfo": info}, about.conversation_id)


class KamaManners(ByNumber):
    """Ids with letters, everything echoed, calls passed on."""

    dialect = "kama"
    hears_lobby = False

    def __init__(
        self, hub: Hub, legacy: Legacy, catch_up: CatchUp, performer: Performer, door: LegacyDoor,
        dispatch: Dispatch, fanout: FanOut, *, text_type: int, trust_client_id: bool,
    ) -> None:  # fmt: skip
        super().__init__(hub, legacy, catch_up, performer, door)
        self._codec = KamaCodec(text_type, self.legacy.links)
        self._dispatch = dispatch
        self._fanout = fanout
        self._trust = trust_client_id
        hub.between_users[KAMA_LOGOUT] = self._log_out

    def _log_out(self, user: UserId, _signal: Signal) -> None:
        for connection in self.hub.connections_of(user):
            if connection.codec.name == self.dialect:
                self.say(connection, LOGGED_OUT)
                connection.close(1000, "logged out")

    async def admit(self, request: UpgradeRequest, choice: Choice) -> LetIn:
        client_id = request.query.get("client_id", "")
        if not client_id:
            raise NoClientId
        self.door.check_origin(request)
        user = parse_id(client_id[1:]) if client_id.startswith("U") else None
        if user is None:
            raise ChatError(Code.UNAUTHENTICATED, "client_id is not of the form U<user id>.")
        if self.door.token_of(request) is None and self._trust and self.door.is_local(request):
            actor = await self.legacy.account(UserId(user))
            return LetIn(actor, 0, self._codec)
        identity = await self.door.identify(request)
        if identity.actor.user_id != user:
            raise ChatError(Code.UNAUTHENTICATED, "The token is not this client_id's.")
        return LetIn(identity.actor, identity.session_id, self._codec)

    async def opened(self, connection: Connection) -> None:
        self.say(connection, WELCOME)
        await super().opened(connection)

    def perform(self, connection: Connection, request: Request) -> Awaitable[None] | None:
        command = request.command
        if claims_other(command, connection.actor.user_id, request.ref):
            self.performer.refuse(connection, None, ChatError(Code.FORBIDDEN, "send_id is not your own."))
            return None
        if isinstance(command, SignalCall):
            return self._call(connection, command)
        return super().perform(connection, request)

    def wrote(self, connection: Connection, entry: Entry) -> bool:
        """The user on whatever device: a call's frames are for the one called."""
        return entry.by == connection.actor.user_id

    async def _call(self, connection: Connection, command: SignalCall) -> None:
        """Its beginning, acceptance or refusal is kept in the direct conversation; the rest only passes."""
        actor = connection.actor
        if command.kept:
            message = SendMessage(
                ConversationId(0), new_client_id(), command.data, MessageKind.SYSTEM, command.to_user_id,
                legacy={"dialect": "kama", "type": "3", "av_data": command.data},
            )  # fmt: skip
            # Until it is stored what follows waits: an offer must not overtake the call that it belongs to.
            await self._dispatch.run(actor, message)
            return
        await self._dispatch.may_reach(actor, command.to_user_id)
        payload = {"from": actor.user_id, "from_name": actor.name, "to": command.to_user_id, "data": command.data}
        self._fanout.tell_user(command.to_user_id, Signal("call.frame", payload))


class NoClientId(AnsweredOtherwise):
    """The refusal that these clients know: HTTP 200, and no upgrade. Both names: versions of these clients differ."""

    def __init__(self) -> None:
        super().__init__(Code.BAD_PAYLOAD, NO_CLIENT_ID)
        body = {"code": 400, "msg": NO_CLIENT_ID, "message": NO_CLIENT_ID, "data": None}
        self.answer = plain_answer(HTTPStatus.OK, msgspec.json.encode(body), "application/json")
