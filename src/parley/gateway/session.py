"""What a connection's frames do: decode, check the rate, dispatch, answer. The hot path of a message begins and ends
here.

A frame is handled to its end before the next one of its connection is looked at. Where a command has to wait for
something, the connection is `busy` and what comes meanwhile waits in its inbox, so that a connection's commands never
overtake each other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog

from parley.dialects.base import Request
from parley.dispatch import Dispatch
from parley.fanout.interface import FanOut
from parley.gateway.catchup import CatchUp
from parley.gateway.connection import Connection
from parley.gateway.framing import frame
from parley.gateway.hub import CROWD, Hub
from parley.gateway.limits import BAD_FRAMES, Bucket
from parley.gateway.typing_notices import TypingNotices
from parley.gateway.watching import Watching
from parley.protocol.commands import (
    Actor,
    CancelAssistant,
    Command,
    Durable,
    MarkRead,
    Ping,
    Resume,
    SendMessage,
    SetTyping,
    WatchPresence,
)
from parley.protocol.errors import BadFrame, ChatError, Close, Code
from parley.protocol.events import Ack, Signal
from parley.protocol.types import ConversationId, MessageId, UserId
from parley.store.interface import Appended, Marked, Outcome, Refused, StoreUnavailable

log = structlog.get_logger()

INBOX = 100
"""Frames of one connection that wait behind a slow command before its socket is not read any more."""


NAMED_A_TOKEN = 500
"""Conversations that a resume may name for the price of a command."""
STRANGE_A_TOKEN = 20
"""The same for those that it may not read."""


class Acquaintance(Protocol):
    async def shares_conversation(self, user_id: UserId, other_ids: list[UserId]) -> set[UserId]:
        """Those of `other_ids` whose presence the user may see."""


class Assistant(Protocol):
    async def cancel(self, actor: Actor, conversation_id: ConversationId, message_id: MessageId) -> None:
        """Raises ChatError."""


class Sessions:
    """Handles the frames of all connections."""

    def __init__(
        self,
        *,
        dispatch: Dispatch,
        hub: Hub,
        fanout: FanOut,
        catch_up: CatchUp,
        typing: TypingNotices,
        watching: Watching,
        acquaintance: Acquaintance,
        bucket: Bucket,
    ) -> None:
        self._dispatch = dispatch
        self._hub = hub
        self._fanout = fanout
        self._catch_up = catch_up
        self._typing = typing
        self._watching = watching
        self._acquaintance = acquaintance
        self._bucket = bucket
        self.assistant: Assistant | None = None
        """None: nobody answers here."""
        self._loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        """Commands that wait for something; `drain` sees to their end."""
        self._ephemeral: dict[type[Command], Callable[[Connection, str | None, Any], Awaitable[None] | None]] = {
            Ping: self._ping,
            MarkRead: self._mark_read,
            SetTyping: self._set_typing,
            WatchPresence: self._watch_presence,
            CancelAssistant: self._cancel_assistant,
        }

    def received(self, connection: Connection, text: str) -> None:
        """A whole text message came in."""
        if connection.closing:
            return
        if connection.busy:
            self._hold(connection, text)
            return
        self._handle(connection, text)

    def _hold(self, connection: Connection, text: str) -> None:
        if connection.inbox is None:
            connection.inbox = []
        connection.inbox.append(text)
        if len(connection.inbox) >= INBOX and not connection.reading_paused:
            connection.reading_paused = True
            connection.wire.pause_reading()

    def _handle(self, connection: Connection, text: str) -> None:
        try:
            request = connection.codec.decode(text)
        except BadFrame as bad:
            self._bad_frame(connection, bad)
            return
        connection.bad_frames = 0
        command = request.command
        ahead = self._bucket.take(connection, self._loop.time(), _cost(command))
        if not connection.live:
            self._go_live(connection, request)
            if type(command) is Resume:
                return
        if ahead:
            self._too_fast(connection, request, ahead)
            return
        legacy = connection.legacy
        before = (self.perform if legacy is None else legacy.manners.perform)(connection, request)
        if before is not None:
            self._wait(connection, request.ref, before)

    def perform(self, connection: Connection, request: Request) -> Awaitable[None] | None:
        command = request.command
        if isinstance(command, Durable):
            return self._dispatch.submit(connection.actor, command, self._reply(connection, request.ref, command))
        if type(command) is Resume:
            return self._catch_up.begin(connection, command, self._resumed(connection, request.ref))
        return self._ephemeral[type(command)](connection, request.ref, command)

    # Waiting

    def _wait(self, connection: Connection, ref: str | None, before: Awaitable[None]) -> None:
        connection.busy = True
        task = self._loop.create_task(self._finish(connection, ref, before))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _finish(self, connection: Connection, ref: str | None, before: Awaitable[None]) -> None:
        try:
            await before
        except ChatError as error:
            self.refuse(connection, ref, error)
        except StoreUnavailable:
            self.refuse(connection, ref, ChatError(Code.STORAGE_UNAVAILABLE))
        except Exception:
            log.exception("command_failed", connection=connection.id)
            self.refuse(connection, ref, ChatError(Code.INTERNAL))
        self.ready(connection)

    def ready(self, connection: Connection) -> None:
        """Nothing holds the connection's commands back any more."""
        connection.busy = False
        self._catch_up_inbox(connection)

    def _catch_up_inbox(self, connection: Connection) -> None:
        while connection.inbox and not connection.busy and not connection.closing:
            self._handle(connection, connection.inbox.pop(0))
        if connection.reading_paused and not connection.inbox and not connection.closing:
            connection.reading_paused = False
            connection.wire.resume_reading()

    # Refusing

    def _bad_frame(self, connection: Connection, bad: BadFrame) -> None:
        connection.bad_frames += 1
        self.refuse(connection, bad.ref, bad)
        if connection.bad_frames >= BAD_FRAMES:
            connection.close(Close.MALFORMED_FLOOD, "too many malformed frames")

    def _too_fast(self, connection: Connection, request: Request, ahead: float) -> None:
        """A repeat is answered even so. Whoever does not stop is not read for a while, and so cannot cost more."""
        retry_after = max(1, int(ahead * 1000))
        command = request.command
        if isinstance(command, Durable):
            reply = self._reply(connection, request.ref, command, retry_after)
            # With a refusal it never has anything to wait for.
            self._dispatch.submit(connection.actor, command, reply, (Code.RATE_LIMITED, None))
        else:
            self.refuse(connection, request.ref, ChatError(Code.RATE_LIMITED, retry_after_ms=retry_after))
        self.slow_down(connection)

    def slow_down(self, connection: Connection) -> None:
        """Stop reading for a second from one that goes on although it was told that it is too fast."""
        if self._bucket.exhausted(connection) and not connection.reading_paused:
            connection.reading_paused = True
            connection.wire.pause_reading()
            self._loop.call_later(1.0, self._read_again, connection)

    def _read_again(self, connection: Connection) -> None:
        if connection.reading_paused and not connection.closing and not connection.inbox:
            connection.reading_paused = False
            connection.wire.resume_reading()

    def refuse(self, connection: Connection, ref: str | None, error: ChatError) -> None:
        payload = connection.codec.error(ref, error)
        if payload is not None:
            connection.push(frame(payload))

    # Answering

    def _reply(
        self, connection: Connection, ref: str | None, command: Durable, retry_after_ms: int | None = None
    ) -> Callable[[Outcome], None]:
        def reply(outcome: Outcome) -> None:
            if isinstance(outcome, Appended):
                self._acknowledge(connection, ref, outcome.ack)
                if type(command) is SendMessage:
                    self._wrote(connection, outcome.ack)
            elif isinstance(outcome, Refused):
                wait = retry_after_ms if outcome.spec is Code.RATE_LIMITED else None
                self.refuse(connection, ref, ChatError(outcome.spec, outcome.detail, wait))
            else:
                self._acknowledge(connection, ref, outcome)

        return reply

    def _wrote(self, connection: Connection, ack: Ack) -> None:
        self._typing.wrote(ack.conversation_id, connection.actor.user_id)

    def _acknowledge(self, connection: Connection, ref: str | None, ack: Ack) -> None:
        payload = connection.codec.ack(ref, ack)
        if payload is not None:
            connection.push(frame(payload))

    def _done(self, connection: Connection, ref: str | None) -> Callable[[dict[str, Any]], None]:
        def done(payload: dict[str, Any]) -> None:
            encoded = connection.codec.done(ref, payload)
            if encoded is not None:
                connection.push(frame(encoded))

        return done

    def _resumed(self, connection: Connection, ref: str | None) -> Callable[[dict[str, Any]], None]:
        """Names that are not the client's to resume cost the store as much as its own, and it should know better."""
        done = self._done(connection, ref)

        def resumed(payload: dict[str, Any]) -> None:
            self._bucket.charge(connection, len(payload["gone"]) / STRANGE_A_TOKEN)
            done(payload)

        return resumed

    # What is not durable

    def _go_live(self, connection: Connection, request: Request) -> None:
        """Any first command but `resume` means: live from the heads that welcome told."""
        if type(request.command) is Resume:
            self._catch_up.begin(connection, request.command, self._resumed(connection, request.ref))
        else:
            self._catch_up.begin(connection, None, lambda _: None)

    def _ping(self, connection: Connection, _ref: str | None, _command: Ping) -> None:
        payload = connection.codec.pong()
        if payload is not None:
            connection.push(frame(payload))

    def _set_typing(self, connection: Connection, ref: str | None, command: SetTyping) -> Awaitable[None] | None:
        conversation = command.conversation_id
        if not self._typing.heard_by(connection, conversation):
            # While its resume is under way it hears nothing yet; that notice is only early, and typing is never worth
            # an error then.
            if connection.feeds:
                self.refuse(connection, ref, ChatError(Code.UNKNOWN_CONVERSATION))
            else:
                self._done(connection, ref)({})
        elif self._typing.knows_size(conversation):
            self._type(connection, ref, command)
        else:
            return self._learn_and_type(connection, ref, command)
        return None

    async def _learn_and_type(self, connection: Connection, ref: str | None, command: SetTyping) -> None:
        await self._typing.learn_size(command.conversation_id)
        if not self._typing.heard_by(connection, command.conversation_id):
            raise ChatError(Code.UNKNOWN_CONVERSATION)  # removed meanwhile
        self._type(connection, ref, command)

    def _type(self, connection: Connection, ref: str | None, command: SetTyping) -> None:
        self._typing.set(connection, command.conversation_id, command.is_typing)
        self._done(connection, ref)({})

    async def _watch_presence(self, connection: Connection, ref: str | None, command: WatchPresence) -> None:
        wanted = list(dict.fromkeys(command.user_ids))
        visible = await self._acquaintance.shares_conversation(connection.actor.user_id, wanted)
        known = await self._watching.watch(connection, wanted, visible)
        self._done(connection, ref)({})
        self._hub.tell(connection, Signal("presence", known))

    async def _cancel_assistant(self, connection: Connection, ref: str | None, command: CancelAssistant) -> None:
        if self.assistant is None:
            raise ChatError(Code.UNSUPPORTED, "No assistant answers here.")
        await self.assistant.cancel(connection.actor, command.conversation_id, command.message_id)
        self._done(connection, ref)({})

    def _mark_read(self, connection: Connection, ref: str | None, command: MarkRead) -> None:
        def reply(marked: Marked | Refused) -> None:
            if isinstance(marked, Refused):
                self.refuse(connection, ref, ChatError(marked.spec, marked.detail))
            else:
                self._done(connection, ref)({})
                self.marked(marked)

        self._dispatch.submit_mark(connection.actor, command, reply)

    def delivered(self, connection: Connection, upto: Mapping[ConversationId, int]) -> None:
        """What has surely arrived at a client that says nothing of it itself. Who has left meanwhile has no mark."""

        def reply(marked: Marked | Refused) -> None:
            if isinstance(marked, Marked):
                self.marked(marked)

        for conversation, seq in upto.items():
            self._dispatch.submit_mark(connection.actor, MarkRead(conversation, 0, seq), reply)

    def marked(self, marked: Marked) -> None:
        """Tell who may know that someone has read on: everybody in a small conversation, else only their own
        devices."""
        if not marked.moved:
            return
        payload = {
            "conversation_id": str(marked.conversation_id),
            "user_id": str(marked.user_id),
            "read_seq": marked.read_seq,
            "delivered_seq": marked.delivered_seq,
        }
        signal = Signal("read", payload, marked.conversation_id)
        if marked.member_count <= CROWD:
            self._fanout.tell_conversation(marked.conversation_id, signal)
        else:
            self._fanout.tell_user(marked.user_id, signal)


def _cost(command: Command) -> float:
    return 1.0 + len(command.cursors) / NAMED_A_TOKEN if type(command) is Resume else 1.0
