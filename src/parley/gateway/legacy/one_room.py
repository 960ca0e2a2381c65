"""Lobby and room: sockets that hear one room, guests among them, with everybody told who is there."""

from collections.abc import Awaitable

from parley.clock import Clock
from parley.dialects.base import Codec, Request
from parley.dialects.lobby import LobbyCodec, question_of
from parley.dialects.room import RoomCodec
from parley.dialects.shared import color_of, local_time
from parley.dispatch import Dispatch
from parley.gateway.catchup import CatchUp
from parley.gateway.connection import Connection
from parley.gateway.feed import Feed
from parley.gateway.framing import BINARY, frame
from parley.gateway.handshake import UpgradeRequest
from parley.gateway.hub import Hub
from parley.gateway.legacy.admission import LegacyDoor
from parley.gateway.legacy.attendance import Attendance
from parley.gateway.legacy.choice import Choice
from parley.gateway.legacy.manners import LetIn, Manners, Performer
from parley.protocol.commands import Actor, SendMessage, SetLabel
from parley.protocol.errors import ChatError, Code
from parley.protocol.events import Signal
from parley.protocol.types import ConversationId, JoinPolicy
from parley.services.legacy import Legacy

AI_AWAY = "AI服务暂时不可用，请稍后重试"
SYSTEM = "系统"


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
    ) -> None:
        super().__init__(hub, legacy, catch_up, performer)
        self.door = door
        self.dispatch = dispatch
        self.clock = clock

    def room_of(self, connection: Connection) -> ConversationId:
        room: ConversationId = connection.codec.room_id  # type: ignore[attr-defined]  # both codecs have it
        return room

    async def opened(self, connection: Connection) -> None:
        await self.listen(connection, {self.room_of(connection): None})

    def prepare(self, feed: Feed) -> None:
        if feed.attendance is None:
            feed.attendance = Attendance(feed, color_of, self.clock.now_ms)

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

    async def codec(self) -> Codec:
        if self._codec is None:
            self._codec = LobbyCodec(await self.legacy.lobby())
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
        if isinstance(command, SendMessage) and question_of(command.text or "") is not None:
            return self._ask(connection, request)
        return super().perform(connection, request)

    async def _set_label(self, connection: Connection, command: SetLabel) -> None:
        """Its wish is granted unless it would pass for somebody else."""
        state = connection.legacy
        assert state is not None
        wished = command.label.get("userphone", "")
        label = {key: value for key, value in command.label.items() if key in ("userid", "userphone")}
        if wished and not await self.legacy.may_be_called(wished):
            label.pop("userphone", None)
        state.label |= label
        if wished and "userphone" in label and connection.actor.guest and connection.actor.user_id < 0:
            self.hub.rename(
                connection, Actor(connection.actor.user_id, wished[:32], guest=True, guest_of=connection.actor.guest_of)
            )
        for feed in connection.feeds:
            if feed.attendance is not None:
                feed.attendance.relabel(connection, dict(state.label))

    async def _ask(self, connection: Connection, request: Request) -> None:
        """A question to the assistant is a normal message; that none answers is said by the system, to all."""
        before = super().perform(connection, request)
        if before is not None:
            await before
        now = local_time(self.clock.now_ms())
        payload = {"userid": "system", "userphone": SYSTEM, "message": AI_AWAY, "time": now}
        feed = self.hub.feeds.get(self.room_of(connection))
        if feed is not None:
            feed.signal_dialect("lobby", Signal("notice", payload))

    def binary(self, connection: Connection, data: bytes) -> None:
        """Relayed as it came to the lobby's clients, and not kept."""
        feed = self.hub.feeds.get(self.room_of(connection))
        if feed is not None:
            for codec, connections in feed.live.items():
                if codec.name == "lobby":
                    feed.outbound.deliver(connections, frame(data, BINARY))


class RoomManners(OneRoom):
    """Many rooms by name, made on first use by who may."""

    dialect = "room"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # the same
        self._codecs: dict[ConversationId, RoomCodec] = {}

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
        if known is None or known.room != name:
            known = self._codecs[room] = RoomCodec(room, name)
        return known

    def closed(self, connection: Connection) -> None:
        if self.room_of(connection) not in self.hub.feeds:
            self._codecs.pop(self.room_of(connection), None)
