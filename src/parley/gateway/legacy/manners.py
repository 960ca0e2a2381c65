"""What the sockets of one older dialect do beside the codec: come in, be greeted, send, be told, go."""

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

import msgspec
import structlog

from parley.dialects.base import Codec, Request
from parley.gateway.catchup import CatchUp
from parley.gateway.connection import Connection
from parley.gateway.feed import Feed
from parley.gateway.framing import frame
from parley.gateway.handshake import UpgradeRequest
from parley.gateway.hub import Hub
from parley.gateway.legacy.choice import Choice
from parley.protocol.commands import Actor, SendMessage
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ConversationId
from parley.services.legacy import Legacy

log = structlog.get_logger()


class LegacyState:
    """What a connection of an older dialect has beside every connection."""

    __slots__ = ("away", "granted", "label", "manners")

    def __init__(self, manners: "Manners", label: Mapping[str, str] | None = None) -> None:
        self.manners = manners
        self.label = dict(label or {})
        self.granted: frozenset[tuple[str, str]] = frozenset()
        """Of a lobby client's label: the fields that it was found it may wear."""
        self.away: Any = None
        """Where it is to be served from when it comes back (`away.AwayMarks`)."""


class LetIn(msgspec.Struct, frozen=True):
    """Who came in, and the codec that speaks for the socket."""

    actor: Actor
    session_id: int
    codec: Codec
    label: Mapping[str, str] = {}


def is_unstored(actor: Actor) -> bool:
    """Is this a guest who has written nothing yet?"""
    return actor.guest and actor.user_id < 0


class Performer(Protocol):
    """The session's part: take a command to where all commands go."""

    def perform(self, connection: Connection, request: Request) -> Awaitable[None] | None: ...
    def refuse(self, connection: Connection, ref: str | None, error: ChatError) -> None: ...
    def delivered(self, connection: Connection, upto: Mapping[ConversationId, int]) -> None: ...


class Manners:
    """The common part; each dialect says what differs."""

    dialect = ""
    takes_binary = False

    def __init__(self, hub: Hub, legacy: Legacy, catch_up: CatchUp, performer: Performer) -> None:
        self.hub = hub
        self.legacy = legacy
        self.catch_up = catch_up
        self.performer = performer

    async def admit(self, request: UpgradeRequest, choice: Choice) -> LetIn:
        """Before the upgrade. Raises ChatError."""
        raise ChatError(Code.NOT_FOUND)

    async def opened(self, connection: Connection) -> None:
        """The upgrade is done: greet it and let it hear. Frames that come meanwhile wait."""

    def closed(self, connection: Connection) -> None:
        """It is gone from the hub already."""

    def ping_payload(self, connection: Connection) -> bytes:
        return b""

    def ponged(self, connection: Connection, payload: bytes) -> None:
        """A pong came."""

    def attach(self, connection: Connection, conversation_id: ConversationId, cursor: int) -> None:
        """The user is now in a conversation. Most dialects' sockets hear one room only."""

    def detached(self, connection: Connection, conversation_id: ConversationId) -> None:
        """The user is not in it any more; the hub has taken the connection out of the feed."""

    def binary(self, connection: Connection, data: bytes) -> None:
        """Only where `takes_binary`."""

    def perform(self, connection: Connection, request: Request) -> Awaitable[None] | None:
        """A decoded command. Returns what the connection's later commands have to wait for."""
        if isinstance(request.command, SendMessage) and is_unstored(connection.actor):
            return self._as_stored_guest(connection, request)
        return self.performer.perform(connection, request)

    async def _as_stored_guest(self, connection: Connection, request: Request) -> None:
        await self.store_guest(connection)
        if connection.closing:
            return
        again = self.performer.perform(connection, request)
        if again is not None:
            await again

    async def store_guest(self, connection: Connection) -> None:
        """A guest's first message gives them a row, and a number that is not negative."""
        actor = await self.legacy.store_guest(connection.actor)
        if connection.closed:
            return
        self.hub.rename(connection, actor)
        for feed in connection.feeds:
            if feed.attendance is not None:
                feed.attendance.became(connection, actor.user_id)

    def keeps_seat(self, connection: Connection, newer: str) -> bool:
        """Where a user has one connection: another node's, with the id `newer`, is to have the place. True: no, this
        one has it."""
        return False

    # Listening

    async def listen(self, connection: Connection, starts: Mapping[ConversationId, int | None]) -> None:
        """Let the connection hear these conversations: after a seq, or (None) from now on."""
        feeds = {conversation: self.hub.track(conversation) for conversation in starts}
        try:
            facts = await self.legacy.about(list(feeds))
            for conversation, feed in feeds.items():
                if conversation in facts:
                    feed.about = facts[conversation]
                    await self.prepare(feed)
            for conversation, cursor in starts.items():
                if conversation in facts and not connection.closing:
                    feed = feeds[conversation]
                    if not feed.hears(connection):
                        await self.catch_up.follow(connection, feed, cursor)
        finally:
            for feed in feeds.values():
                self.hub.untrack(feed)

    async def prepare(self, feed: Feed) -> None:
        """Before the first of this dialect's connections is added to a feed."""

    def say(self, connection: Connection, text: str) -> None:
        """A plain text frame."""
        connection.push(frame(text.encode()))
