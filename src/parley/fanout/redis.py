"""Fan-out through Redis: one sharded channel a conversation and one a user, so that only nodes hear it that have
somebody who does.

A node trusts its Redis: whoever can write there can make every node say anything to its sockets.
"""

from collections.abc import Collection, Sequence
from itertools import groupby
from operator import attrgetter
from typing import assert_never

import msgspec
import structlog

from parley.fanout.interface import Subscriber
from parley.fanout.messages import (
    Invited,
    Message,
    Published,
    SeatTaken,
    SessionEnded,
    ToldConversation,
    ToldUser,
    decode,
    encode,
)
from parley.protocol.events import Entry, Signal
from parley.protocol.types import ConversationId, EntryKind, SessionId, UserId
from parley.redis.node import RedisNode

log = structlog.get_logger()

_conversation = attrgetter("conversation_id")


class RedisFanOut:
    """`FanOut` to this node's own subscriber at once, and to the other nodes with the next write to Redis."""

    def __init__(self, hub: Subscriber, node: RedisNode) -> None:
        """The node is started and closed by whoever made it."""
        self._hub = hub
        self._names = node.names
        self._talker = node.talker
        self._listener = node.listener
        self._metrics = node.metrics
        self._origin = bytes.fromhex(node.id)
        node.listener.on_listening.append(self._listening)

    @property
    def reaches_others(self) -> bool:
        return self._talker.up

    # Saying

    def publish(self, entries: Sequence[Entry]) -> None:
        self._hub.publish(entries)
        if len(entries) == 1:
            self._publish(list(entries))
            return
        # A batch holds the commands of many conversations in turn; sorting keeps the order within each.
        for _, group in groupby(sorted(entries, key=_conversation), _conversation):
            self._publish(list(group))

    def _publish(self, entries: list[Entry]) -> None:
        conversation_id = entries[0].conversation_id
        self._say(self._names.conversation(conversation_id), Published(entries))
        for entry in entries:
            # Their node may hear nothing of this conversation yet.
            if entry.kind is EntryKind.MEMBER_JOINED and entry.user_id is not None:
                self._say_user(entry.user_id, Invited(entry.user_id, conversation_id, entry.seq - 1))

    def tell_conversation(self, conversation_id: ConversationId, signal: Signal, without: UserId | None = None) -> None:
        self._hub.tell_conversation(conversation_id, signal, without)
        self._say(self._names.conversation(conversation_id), ToldConversation(conversation_id, signal, without))

    def tell_user(self, user: UserId, signal: Signal) -> None:
        self._hub.tell_user(user, signal)
        self._say_user(user, ToldUser(user, signal))

    def invite(self, conversation_id: ConversationId, users: Sequence[UserId], cursor: int) -> None:
        self._hub.invite(conversation_id, users, cursor)
        for user in users:
            self._say_user(user, Invited(user, conversation_id, cursor))

    def session_ended(self, session_id: SessionId | None, user: UserId) -> None:
        self._say_user(user, SessionEnded(user, session_id))

    def seat_taken(self, user: UserId, dialect: str, connection_id: str) -> None:
        self._say_user(user, SeatTaken(user, dialect, connection_id))

    def _say_user(self, user: UserId, message: Message) -> None:
        # Guests who have written nothing have numbers below nought that mean something on one node only.
        if user > 0:
            self._say(self._names.user(user), message)

    def _say(self, channel: bytes, message: Message) -> None:
        try:
            payload = self._origin + encode(message)
        except (TypeError, OverflowError, ValueError, msgspec.MsgspecError):
            # Our own mistake, and not the writer's: what is committed has to be acknowledged all the same.
            self._metrics.dropped.labels("unsayable").inc()
            log.exception("message_not_encoded", type=type(message).__name__)
            return
        if self._talker.say(b"SPUBLISH", channel, payload):
            self._metrics.published.inc()

    # Hearing

    def hear(self, conversation_id: ConversationId) -> None:
        self._listener.join(self._names.conversation(conversation_id), self._heard)

    def unhear(self, conversation_id: ConversationId) -> None:
        self._listener.leave(self._names.conversation(conversation_id))

    def hear_user(self, user: UserId) -> None:
        if user > 0:
            self._listener.join(self._names.user(user), self._heard)

    def unhear_user(self, user: UserId) -> None:
        self._listener.leave(self._names.user(user))

    def _heard(self, channel: bytes, payload: bytes) -> None:
        if payload.startswith(self._origin):
            return
        try:
            message = decode(memoryview(payload)[len(self._origin) :])
        except msgspec.MsgspecError as error:
            self._metrics.dropped.labels("malformed").inc()
            log.warning("malformed_message", channel=channel.decode(errors="replace"), error=type(error).__name__)
            return
        self._metrics.received.inc()
        self._pass_on(message)

    def _pass_on(self, message: Message) -> None:
        match message:
            case Published(entries):
                self._hub.publish(entries)
            case ToldConversation(conversation_id, signal, without):
                self._hub.tell_conversation(conversation_id, signal, without)
            case ToldUser(user, signal):
                self._hub.tell_user(user, signal)
            case Invited(user, conversation_id, cursor):
                self._hub.invite(conversation_id, [user], cursor)
            case SessionEnded(user, session_id):
                self._hub.session_ended(session_id, user)
            case SeatTaken(user, dialect, connection_id):
                self._hub.seat_taken(user, dialect, connection_id)
            case _:
                assert_never(message)

    def _listening(self, channels: Collection[bytes] | None) -> None:
        if channels is None:
            self._hub.listening(None)
            return
        found = (self._names.conversation_of(channel) for channel in channels)
        if heard := [conversation_id for conversation_id in found if conversation_id is not None]:
            self._hub.listening(heard)

    async def close(self) -> None:
        """Nothing is held: the lines are the node's."""
