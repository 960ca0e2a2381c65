"""Lobby and room: sockets that hear one room, guests among them, with everybody told who is there."""

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Mapping
from weakref import WeakValueDictionary

import msgspec

from parley.clock import Clock
from parley.dialects.base import Codec, Request
from parley.dialects.lobby import LABEL, LobbyCodec
from parley.dialects.room import RoomCodec
from parley.dispatch import Dispatch
from parley.gateway.catchup import CatchUp
from parley.gateway.connection import Connection, LegacySide
from parley.gateway.feed import Feed
from parley.gateway.framing import BINARY, frame
from parley.gateway.handshake import UpgradeRequest
from parley.gateway.hub import Hub
from parley.gateway.legacy.admission import LegacyDoor
from parley.gateway.legacy.choice import Choice
from parley.gateway.legacy.manners import LetIn, Manners, Performer
from parley.gateway.legacy.rosters import Rosters
from parley.protocol.commands import Actor, SendMessage, SetLabel
from parley.protocol.errors import ChatError, Code
from parley.protocol.events import Signal
from parley.protocol.types import ConversationId, JoinPolicy
from parley.services.legacy import GUEST_NAME_CHARS, Legacy

BINARY_BYTES = 65_536
BINARY_FRAME = "node.lobby_binary"
"""To the lobby's clients on every node."""
NOT_HERE = 1008
"""The standard's close code for a policy: the user left the room or was removed."""


class OneRoom(Manners):
    """The common part."""

    def __init__(
        self,
        hub: Hub,
        legacy: Legacy,
        catch_up: CatchUp,
        performer: Performer,
        door: LegacyDoor,
        dispatch: Dispatch,
        clock: Clock,
        rosters: Rosters,
    ) -> None:
        super().__init__(hub, legacy, catch_up, performer)
        self.rosters = rosters
        self.door = door
        self.dispatch = dispatch
        self.clock = clock

    def room_of(self, connection: Connection) -> ConversationId:
        room: ConversationId = connection.codec.room_id  # type: ignore[attr-defined]  # both codecs have it
        return room

    async def opened(self, connection: Connection) -> None:
        await self.listen(connection, {self.room_of(connection): None})

    async def prepare(self, feed: Feed) -> None:
        await self.rosters.attend(feed)

    async def come_in(self, request: UpgradeRequest, room: ConversationId, wished: str) -> tuple[Actor, int]:
        """By token, or as a guest. Raises ChatError."""
        if self.door.token_of(request):
            identity = await self.door.identify(request)
            return identity.actor, identity.session_id
        self.door.check_guest(request)
        return await self.legacy.guest(wished, room), 0


class LobbyManners(OneRoom):
    """One public room; guests, labels, binary frames relayed."""

    dialect = "lobby"
    takes_binary = True
    _codec: LobbyCodec | None = None

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # the same
        self.hub.between[BINARY_FRAME] = lambda feed, signal: _relay(feed, b64decode(signal.payload["data"]))

    async def codec(self) -> Codec:
        lobby = await self.legacy.lobby()
        # No await from the look to the setting: a second codec would have every frame made twice.
        if self._codec is None:
            self._codec = LobbyCodec(lobby, self.legacy.reserved, self.legacy.links)
        return self._codec

    async def admit(self, request: UpgradeRequest, choice: Choice) -> LetIn:
        self.door.check_origin(request)
        lobby = await self.legacy.lobby()
        actor, session = await self.come_in(request, lobby, request.query.get("username", ""))
        label = {"userid": f"guest{actor.user_id}" if actor.guest else str(actor.user_id), "userphone": actor.name}
        return LetIn(actor, session, await self.codec(), label)

    def perform(self, connection: Connection, request: Request) -> Awaitable[None] | None:
        command = request.command
        if isinstance(command, SetLabel):
            return self._set_label(connection, command)
        if isinstance(command, SendMessage):
            if command.legacy and not command.legacy.keys().isdisjoint(LABEL):
                return self._send_under_label(connection, request, command)
            return self._send(connection, request, command)
        return super().perform(connection, request)

    def _send(self, connection: Connection, request: Request, command: SendMessage) -> Awaitable[None] | None:
        legacy = command.legacy or {}
        if connection.actor.guest and legacy.get("form") != "text":
            # An account's own label is its number and name, which are not kept twice.
            command = msgspec.structs.replace(command, legacy={**_state(connection).label, **legacy})
        return super().perform(connection, msgspec.structs.replace(request, command=command))

    async def _send_under_label(self, connection: Connection, request: Request, command: SendMessage) -> None:
        """A message says by itself who it is from: what would pass for somebody else becomes the sender's own label."""
        legacy = dict(command.legacy or {})
        granted = await self._granted(connection, legacy)
        self._call(connection, granted)
        legacy = {field: value for field, value in legacy.items() if field not in LABEL or field in granted}
        sent = self._send(connection, request, msgspec.structs.replace(command, legacy=legacy))
        if sent is not None:
            await sent

    async def _granted(self, connection: Connection, wished: Mapping[str, str]) -> dict[str, str]:
        """The part of a label that may be worn: not another account's number, nor the name of one, of the server or
        of its assistant. What was granted once stays so on this connection."""
        state, actor, granted = _state(connection), connection.actor, {}
        for field in LABEL:
            value = wished.get(field)
            if not value:
                continue
            own = not actor.guest and value == (str(actor.user_id) if field == "userid" else actor.name)
            if own or (field, value) in state.granted or await self._is_free(field, value):
                granted[field] = value
        state.granted = frozenset(granted.items())
        return granted

    async def _is_free(self, field: str, value: str) -> bool:
        if field == "userid" and await self.legacy.is_number_of_account(value):
            return False
        return await self.legacy.may_be_called(value)

    def _call(self, connection: Connection, granted: Mapping[str, str]) -> None:
        """A guest who has written nothing yet is called as they call themselves."""
        actor, name = connection.actor, granted.get("userphone", "")[:GUEST_NAME_CHARS].strip()
        if name and actor.guest and actor.user_id < 0:
            self.hub.rename(connection, Actor(actor.user_id, name, guest=True, guest_of=actor.guest_of))

    async def _set_label(self, connection: Connection, command: SetLabel) -> None:
        """Its wish is granted unless it would pass for somebody else."""
        state = _state(connection)
        granted = await self._granted(connection, command.label)
        self._call(connection, granted)
        state.label |= {field: granted[field] for field in ("userid", "userphone") if field in granted}
        for feed in connection.feeds:
            if feed.attendance is not None:
                feed.attendance.relabel(connection, dict(state.label))

    def binary(self, connection: Connection, data: bytes) -> None:
        """Relayed as it came to the lobby's clients, and not kept."""
        if len(data) > BINARY_BYTES:
            self.performer.refuse(connection, None, ChatError(Code.TOO_LONG))
            return
        room, fanout = self.room_of(connection), self.rosters.fanout
        if fanout.reaches_others:
            fanout.tell_conversation(room, Signal(BINARY_FRAME, {"data": b64encode(data).decode()}, room))
        elif (feed := self.hub.feeds.get(room)) is not None:
            _relay(feed, data)


class RoomManners(OneRoom):
    """Many rooms by name, made on first use by who may."""

    dialect = "room"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # the same
        self._codecs: WeakValueDictionary[ConversationId, RoomCodec] = WeakValueDictionary()

    async def admit(self, request: UpgradeRequest, choice: Choice) -> LetIn:
        self.door.check_origin(request)
        assert choice.room is not None
        local = self.door.is_local(request)
        if self.door.token_of(request):
            identity = await self.door.identify(request)
            room = await self.legacy.room(choice.room, may_make=True)
            await self.legacy.admit(identity.actor, room, self.dispatch)
            return LetIn(identity.actor, identity.session_id, self._codec(room.id, choice.room))
        self.door.check_guest(request)
        room = await self.legacy.room(choice.room, may_make=local)
        if room.join_policy != JoinPolicy.OPEN:
            raise ChatError(Code.INVITE_ONLY)
        guest = await self.legacy.guest(request.query.get("username", ""), room.id)
        return LetIn(guest, 0, self._codec(room.id, choice.room))

    def _codec(self, room: ConversationId, name: str) -> RoomCodec:
        """One for all sockets of a room, so that its frames are made once."""
        known = self._codecs.get(room)
        if known is None:
            known = self._codecs[room] = RoomCodec(room, name, self.legacy.links)
        return known

    def detached(self, connection: Connection, conversation_id: ConversationId) -> None:
        """There is nothing else that it could hear. If its user may come back, it does so by the door."""
        connection.close(NOT_HERE, "not in this room any more")


def _relay(feed: Feed, data: bytes) -> None:
    for codec, connections in feed.live.items():
        if codec.name == "lobby":
            feed.outbound.deliver(connections, frame(data, BINARY))


def _state(connection: Connection) -> LegacySide:
    assert connection.legacy is not None
    return connection.legacy
