"""One door for commands, whether they came over WebSocket, over HTTP or through a legacy dialect.

What needs no question to the store is checked here (shape, length, rate); membership, role and target are checked in
the log's transaction, in log order. A command that is refused here still passes the log when it could be a repeat,
because a repeat is answered first.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from parley.log.interface import Log, MarkReply, Reply
from parley.protocol.commands import (
    Actor,
    AddReaction,
    ChangeConversation,
    Durable,
    EditMessage,
    MarkRead,
    SendMessage,
)
from parley.protocol.errors import ChatError, Code, ErrorSpec
from parley.protocol.events import Ack
from parley.protocol.types import ConversationId, MessageKind, UserId
from parley.store.interface import Append, Appended, Mark, Marked, Outcome, Refused, StoreUnavailable

TITLE_CHARS = 200
ATTACHMENTS = 10
OF_FILES = frozenset({MessageKind.IMAGE, MessageKind.FILE, MessageKind.VOICE})
RESERVED = "lobby"
"""The lobby is shown by this name: no other room takes it, in capitals neither."""


class Directs(Protocol):
    """What is asked of the conversations service: the direct conversation of two users."""

    def known_direct(self, one: UserId, other: UserId) -> ConversationId | None:
        """From memory, without waiting."""

    async def open_direct(self, actor: Actor, other: UserId) -> tuple[ConversationId, bool]:
        """Found or made. Raises ChatError."""


Refusal = tuple[ErrorSpec, str | None]
_NO_REPEAT: Refusal = (Code.NOT_FOUND, None)
"""Given with a command only to learn whether it is a repeat; no log and no store answers so by itself."""


class Dispatch:
    """Takes commands to the log. `submit` is the hot path: it does not await and makes no Task."""

    def __init__(self, log: Log, directs: Directs, *, text_chars: int) -> None:
        self._log = log
        self._directs = directs
        self._text_chars = text_chars

    def submit(
        self, actor: Actor, command: Durable, reply: Reply, refusal: Refusal | None = None
    ) -> Awaitable[None] | None:
        """Answer by `reply`, once. Returns None when the command is on its way; otherwise something to await first.

        Whoever awaits must hold back the actor's later commands meanwhile, or they would overtake this one.
        `refusal`: the caller's own no, given unless the command turns out to be a repeat.
        """
        no = refusal or self._refusal(command)
        if type(command) is SendMessage and command.to_user_id is not None:
            known = self._directs.known_direct(actor.user_id, command.to_user_id)
            if known is not None:
                command = _addressed(command, known)
            elif no is None:
                return self._open_and_send(actor, command, reply)
        self._append(actor, command, reply, no)
        return None

    def _append(self, actor: Actor, command: Durable, reply: Reply, no: Refusal | None) -> None:
        spec, detail = no or (None, None)
        self._log.submit(Append(actor.user_id, command, actor.admin, spec, detail, actor.name, actor.guest_of), reply)

    async def _open_and_send(self, actor: Actor, command: SendMessage, reply: Reply) -> None:
        """A repeat is looked for first: whomever it names now, it must not open what the first one did not."""
        assert command.to_user_id is not None
        before = await self._wait(lambda told: self._append(actor, command, told, _NO_REPEAT))
        if not isinstance(before, Refused) or before.spec is not _NO_REPEAT[0]:
            reply(before)
            return
        try:
            conversation, _ = await self._directs.open_direct(actor, command.to_user_id)
        except ChatError as error:
            reply(Refused(error.spec, error.detail))
        except StoreUnavailable:
            reply(Refused(Code.STORAGE_UNAVAILABLE))
        else:
            self._append(actor, _addressed(command, conversation), reply, None)

    async def may_reach(self, actor: Actor, other: UserId) -> None:
        """Whether something that is not stored may be passed to this user. Raises ChatError: forbidden,
        unknown_user."""
        if self._directs.known_direct(actor.user_id, other) is None:
            await self._directs.open_direct(actor, other)

    async def run(self, actor: Actor, command: Durable) -> Ack:
        """For callers that wait, such as HTTP. Raises ChatError."""
        outcome = await self._wait(lambda reply: self.submit(actor, command, reply))
        if isinstance(outcome, Refused):
            raise ChatError(outcome.spec, outcome.detail)
        return outcome.ack if isinstance(outcome, Appended) else outcome

    async def _wait(self, start: Callable[[Reply], Awaitable[None] | None]) -> Outcome:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def settle(outcome: Outcome) -> None:
            if not done.done():
                done.set_result(outcome)

        before = start(settle)
        if before is not None:
            await before
        return await done

    def submit_mark(self, actor: Actor, command: MarkRead, reply: MarkReply) -> None:
        delivered = command.seq if command.delivered_seq is None else command.delivered_seq
        self._log.mark(Mark(actor.user_id, command.conversation_id, command.seq, delivered), reply)

    async def mark(self, actor: Actor, command: MarkRead) -> Marked:
        """Raises ChatError."""
        done: asyncio.Future[Marked | Refused] = asyncio.get_running_loop().create_future()
        self.submit_mark(actor, command, lambda marked: None if done.done() else done.set_result(marked))
        marked = await done
        if isinstance(marked, Refused):
            raise ChatError(marked.spec, marked.detail)
        return marked

    def _refusal(self, command: Durable) -> Refusal | None:
        """What is wrong with it that no state of the store could make right."""
        kind = type(command)
        if kind is SendMessage:
            return self._refuse_message(command)  # type: ignore[arg-type]  # mypy does not narrow by type()
        if isinstance(command, EditMessage):
            return self._refuse_text(command.text)
        if isinstance(command, ChangeConversation):
            return _refuse_change(command)
        if isinstance(command, AddReaction) and not command.emoji.strip():
            return Code.BAD_PAYLOAD, "emoji must not be empty."
        return None

    def _refuse_message(self, command: SendMessage) -> Refusal | None:
        if command.kind is MessageKind.SYSTEM and "av_data" not in (command.legacy or {}):
            return Code.FORBIDDEN, "Only the server writes system messages."
        if command.attachments or command.kind in OF_FILES:
            return self._refuse_files(command)
        if command.thread_of is not None:
            return Code.UNSUPPORTED, "This server has no threads yet."
        return self._refuse_text(command.text)

    def _refuse_files(self, command: SendMessage) -> Refusal | None:
        if not command.attachments:
            return Code.BAD_PAYLOAD, f"A message of kind {command.kind} has attachments."
        if command.kind is not MessageKind.TEXT and command.kind not in OF_FILES:
            return Code.BAD_PAYLOAD, f"A message of kind {command.kind} has no attachments."
        if len(command.attachments) > ATTACHMENTS:
            return Code.TOO_LONG, f"A message has at most {ATTACHMENTS} attachments."
        if len(set(command.attachments)) < len(command.attachments):
            return Code.BAD_PAYLOAD, "attachments: each file once."
        if command.kind is MessageKind.VOICE and len(command.attachments) > 1:
            return Code.BAD_PAYLOAD, "A voice message is one recording."
        if command.thread_of is not None:
            return Code.UNSUPPORTED, "This server has no threads yet."
        # A file may come with words, and need not.
        return self._refuse_text(command.text) if command.text else None

    def _refuse_text(self, text: str | None) -> Refusal | None:
        if text is None or not text.strip():
            return Code.BAD_PAYLOAD, "text must not be empty."
        if len(text) > self._text_chars:
            return Code.TOO_LONG, f"A text has at most {self._text_chars} characters."
        return None


def _refuse_change(command: ChangeConversation) -> Refusal | None:
    """What `Conversations.create` would refuse as well."""
    if command.title is not None and ("\0" in command.title or not command.title.strip()):
        return Code.BAD_PAYLOAD, "title: something to read, or leave it out."
    if command.title is not None and len(command.title) > TITLE_CHARS:
        return Code.TOO_LONG, f"A title has at most {TITLE_CHARS} characters."
    if command.name is not None and command.name.lower() == RESERVED:
        return Code.NAME_TAKEN, None
    return None


def _addressed(command: SendMessage, conversation: ConversationId) -> SendMessage:
    return SendMessage(
        conversation, command.client_id, command.text, command.kind, None, command.reply_to, command.thread_of,
        command.attachments, command.mentions, command.legacy,
    )  # fmt: skip
