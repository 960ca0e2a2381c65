"""Conversation -> connections, on this node. Everything here happens on the event loop and nothing in it waits."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from parley.fanout.interface import Ears
from parley.gateway import hold
from parley.gateway.connection import Connection, Outbound
from parley.gateway.feed import Feed
from parley.gateway.framing import frame
from parley.gateway.growing import DELTA, Growing
from parley.protocol.commands import Actor
from parley.protocol.errors import Close
from parley.protocol.events import Entry, Signal
from parley.protocol.types import ConversationId, EntryKind, SessionId, UserId

CROWD = 200
"""Above this many members, typing is not sent and read marks go to one's own devices only."""
AMONG_NODES = "node."
"""What begins so is for nodes, and no client's codec sees it."""


class Attacher(Protocol):
    """What the hub needs done that takes a read of the store."""

    def attach(self, connection: Connection, conversation_id: ConversationId, cursor: int) -> None:
        """Tell the connection of a conversation it is now in, and let it hear everything after `cursor`."""

    def heal(self, feed: Feed, upto: int) -> None:
        """Fetch what the feed has missed, and publish it."""


class Hub:
    """Who is connected, and what each conversation's subscribers hear."""

    def __init__(self, outbound: Outbound) -> None:
        self.outbound = outbound
        self.attacher: Attacher | None = None
        self.ears: Ears | None = None
        """Told which conversations and users somebody here wants to hear of; None where there is nobody to tell."""
        self.between: dict[str, Callable[[Feed, Signal], None]] = {}
        self.between_users: dict[str, Callable[[UserId, Signal], None]] = {}
        """Who understands signals `AMONG_NODES`, by their type."""
        self.users: dict[UserId, dict[Connection, None]] = {}
        self.feeds: dict[ConversationId, Feed] = {}
        self.growing = Growing(self.feeds)
        """Answers of the assistant under way."""
        self.on_presence: Callable[[UserId, bool], None] | None = None
        """Called when a user's first connection comes and when the last one goes."""
        self.on_entries: Callable[[Sequence[Entry]], None] | None = None
        """Told of all that is published here, in no order that could be relied on."""
        self.on_session_ended: Callable[[SessionId | None, UserId], None] | None = None
        self.on_listening: list[Callable[[Collection[ConversationId] | None], None]] = []

    # Connections

    def enter(self, connection: Connection) -> None:
        mine = self.users.setdefault(connection.actor.user_id, {})
        mine[connection] = None
        if len(mine) == 1:
            self._is_here(connection.actor.user_id)

    def leave(self, connection: Connection) -> None:
        for feed in list(connection.feeds):
            self.unsubscribe(feed, connection)
        user = connection.actor.user_id
        mine = self.users.get(user)
        if mine is None or connection not in mine:
            return
        del mine[connection]
        if not mine:
            del self.users[user]
            self._is_gone(user)

    def _is_here(self, user: UserId) -> None:
        """A guest who has written nothing yet has a number of this node's own, which nobody else could ask for."""
        if user < 0:
            return
        if self.ears is not None:
            self.ears.hear_user(user)
        if self.on_presence is not None:
            self.on_presence(user, True)

    def _is_gone(self, user: UserId) -> None:
        if user < 0:
            return
        if self.ears is not None:
            self.ears.unhear_user(user)
        if self.on_presence is not None:
            self.on_presence(user, False)

    def connections_of(self, user: UserId) -> list[Connection]:
        return list(self.users.get(user, ()))

    def rename(self, connection: Connection, actor: Actor) -> None:
        """A guest's connection got another name, or a number of its own."""
        before = connection.actor.user_id
        connection.actor = actor
        if before != actor.user_id:
            mine = self.users.get(before, {})
            mine.pop(connection, None)
            if not mine and self.users.pop(before, None) is not None:
                self._is_gone(before)
            self.enter(connection)

    # Subscriptions

    def track(self, conversation_id: ConversationId) -> Feed:
        """Begin to note what is published, before the store is read; `untrack` ends it."""
        feed = self.feeds.get(conversation_id)
        if feed is None:
            feed = self.feeds[conversation_id] = Feed(conversation_id, self.outbound, self.growing.came)
            if self.ears is not None:
                self.ears.hear(conversation_id)
        feed.tracking += 1
        return feed

    def untrack(self, feed: Feed) -> None:
        feed.tracking -= 1
        self._drop_if_unused(feed)

    def unsubscribe(self, feed: Feed, connection: Connection) -> None:
        feed.remove(connection)
        self._drop_if_unused(feed)

    def _drop_if_unused(self, feed: Feed) -> None:
        if not feed.unused or self.feeds.get(feed.conversation_id) is not feed:
            return
        del self.feeds[feed.conversation_id]
        feed.hold.clear()
        if feed.attendance is not None:
            feed.attendance.close()
        self.growing.unheard(feed.conversation_id)
        if self.ears is not None:
            self.ears.unhear(feed.conversation_id)

    # Passing on

    def publish(self, entries: Sequence[Entry]) -> None:
        """Entries of one batch in log order, after their commit."""
        if self.growing:
            self.growing.ended(entries)
        if self.on_entries is not None:
            self.on_entries(entries)
        if len(entries) == 1:
            self._publish(entries)
            return
        by_conversation: dict[ConversationId, list[Entry]] = {}
        for entry in entries:
            by_conversation.setdefault(entry.conversation_id, []).append(entry)
        for group in by_conversation.values():
            self._publish(group)

    def _publish(self, entries: Sequence[Entry]) -> None:
        """One conversation's. What is behind a hole waits until the hole is filled, or healed."""
        feed = self.feeds.get(entries[0].conversation_id)
        if feed is None:
            self._take_effect(entries)
            return
        ready = feed.in_order(entries)
        if ready:
            self._pass_on(feed, ready)
        if feed.known:
            self._watch_hole(feed)

    def _take_effect(self, entries: Sequence[Entry]) -> None:
        """Nobody hears them here, but somebody may begin to."""
        for entry in entries:
            if entry.user_id is None:
                continue
            if entry.kind is EntryKind.MEMBER_JOINED:
                self.invite(entry.conversation_id, [entry.user_id], entry.seq - 1)
            elif entry.kind is EntryKind.MEMBER_LEFT:
                self.detach(entry.user_id, entry.conversation_id, entry.seq)

    def _pass_on(self, feed: Feed, entries: Sequence[Entry]) -> None:
        """Where somebody comes or goes, the stretch is cut there: who leaves hears that entry as the last."""
        start = 0
        for index, entry in enumerate(entries):
            if entry.user_id is None:
                continue
            if entry.kind is EntryKind.MEMBER_JOINED:
                if index > start:
                    feed.publish(entries[start:index])
                start = index
                self.invite(entry.conversation_id, [entry.user_id], entry.seq - 1)
            elif entry.kind is EntryKind.MEMBER_LEFT:
                feed.publish(entries[start : index + 1])
                start = index + 1
                self.detach(entry.user_id, entry.conversation_id, entry.seq)
        if start < len(entries):
            feed.publish(entries[start:] if start else entries)

    def _watch_hole(self, feed: Feed) -> None:
        """One timer for a feed with a hole; where too much came to be held, the store is asked at once."""
        if not feed.behind_hole:
            feed.known = 0
        elif not feed.hold:
            self._heal(feed)
        elif feed.hold.timer is None:
            feed.hold.timer = asyncio.get_running_loop().call_later(hold.HOLD_S, self._overdue, feed)

    def _overdue(self, feed: Feed) -> None:
        feed.hold.timer = None
        if feed.behind_hole:
            self._heal(feed)

    def _heal(self, feed: Feed) -> None:
        assert self.attacher is not None
        self.attacher.heal(feed, feed.known)

    def invite(self, conversation_id: ConversationId, users: Sequence[UserId], cursor: int) -> None:
        """The users' connections are to hear a conversation from after `cursor` on."""
        for user in users:
            for connection in self.connections_of(user):
                self.attach(connection, conversation_id, cursor)

    def attach(self, connection: Connection, conversation_id: ConversationId, cursor: int) -> None:
        """One connection's share of `invite`."""
        feed = self.feeds.get(conversation_id)
        if feed is None or not feed.hears(connection):
            assert self.attacher is not None
            self.attacher.attach(connection, conversation_id, cursor)

    def detach(self, user: UserId, conversation_id: ConversationId, seq: int) -> None:
        """The user, gone by the entry `seq`, hears nothing of this conversation any more, on any device."""
        feed = self.feeds.get(conversation_id)
        signal = Signal("conversation.removed", {"conversation_id": str(conversation_id)}, conversation_id)
        for connection in self.connections_of(user):
            if feed is not None and feed.member_at(connection) >= seq:
                continue  # it heard of that, and that its user came back
            if feed is not None and feed.hears(connection):
                feed.remove(connection)
                if connection.legacy is not None:
                    connection.legacy.manners.detached(connection, conversation_id)
            if connection.catching is not None and (task := connection.catching.pop(conversation_id, None)):
                task.cancel()
            if connection.bases is not None:
                if connection.bases.get(conversation_id, -1) >= seq:
                    continue  # welcome was read after it: they are in it again
                connection.bases.pop(conversation_id, None)
            self.tell(connection, signal)
        if feed is not None:
            self._drop_if_unused(feed)

    # What is not history

    def tell(self, connection: Connection, signal: Signal) -> None:
        if connection.early is not None:
            connection.early.append(signal)
            if len(connection.early) > self.outbound.queue_frames:
                connection.close(Close.SLOW_CONSUMER, "too much happened before the welcome")
            return
        payload = connection.codec.signal(signal)
        if payload is not None:
            connection.push(frame(payload))

    def tell_user(self, user: UserId, signal: Signal) -> None:
        if signal.type.startswith(AMONG_NODES):
            understood = self.between_users.get(signal.type)
            if understood is not None:
                understood(user, signal)
            return
        for connection in self.connections_of(user):
            self.tell(connection, signal)

    def tell_conversation(self, conversation_id: ConversationId, signal: Signal, without: UserId | None = None) -> None:
        if signal.type == DELTA:
            # Also where nobody hears it yet: whoever comes is told all of it.
            self.growing.heard(signal)
        feed = self.feeds.get(conversation_id)
        if feed is None:
            return
        if signal.type.startswith(AMONG_NODES):
            understood = self.between.get(signal.type)
            if understood is not None:
                understood(feed, signal)
            return
        feed.signal(signal, without)

    # From other nodes

    def session_ended(self, session_id: SessionId | None, user: UserId) -> None:
        if self.on_session_ended is not None:
            self.on_session_ended(session_id, user)

    def seat_taken(self, user: UserId, dialect: str, connection_id: str) -> None:
        for connection in self.connections_of(user):
            if connection.codec.name != dialect or connection.id == connection_id or connection.closing:
                continue
            if connection.legacy is None or not connection.legacy.manners.keeps_seat(connection, connection_id):
                connection.close(Close.REPLACED, "replaced by a newer connection")

    def listening(self, conversations: Collection[ConversationId] | None) -> None:
        for told in self.on_listening:
            told(conversations)
