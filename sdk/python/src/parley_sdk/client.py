"""The client: the one place where the parts are put together.

socket ── standing ── inbox ── `async for`       what comes in
   └───── outbox ── `send`, and `command`        what goes out
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from parley_sdk.backoff import Backoff
from parley_sdk.errors import Disconnected, ParleyError
from parley_sdk.events import Entry, Event, Message, Reset, Sent, Signal
from parley_sdk.http import Api, Token
from parley_sdk.inbox import Inbox
from parley_sdk.outbox import Outbox
from parley_sdk.socket import Frame, Socket
from parley_sdk.standing import Standing
from parley_sdk.state import Memory, State
from parley_sdk.uuid7 import uuid7

SAVE_S = 0.5
"""How often where one stands is written down, at most; and once more at the end."""


class Client:
    """One account's connection.

        async with Client("https://chat.example.org", token=TOKEN) as chat:
            async for message in chat.messages():
                ...

    Every entry of every conversation of the account comes once and in order, over all reconnects; with a `StateFile`
    over restarts too (an event that was being dealt with when the process died comes again). One task iterates; any
    number may send. Iteration raises Disconnected when the server ends the session.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token | None = None,
        state: State | None = None,
        reconnect_s: tuple[float, float] = (1.0, 30.0),
        answer_s: float = 15.0,
        inbox: int = 1_000,
        outbox: int = 500,
    ) -> None:
        """`inbox`: events that wait for whoever iterates; what is above is fetched again when there is room.
        `outbox`: messages that wait for a connection; one more is refused as `outbox_full`."""
        self.api = Api(url, token)
        self.user: Mapping[str, Any] | None = None
        self.welcome: Mapping[str, Any] | None = None
        self.conversations: dict[str, Mapping[str, Any]] = {}
        """As `welcome` told them, and what was added since."""
        self.state = "disconnected"
        """connecting, connected, reconnecting or disconnected"""
        self.reason: str | None = None
        self._remembers: State = state or Memory()
        self._remembered = self._remembers.load()
        self._standing = Standing(self._remembered.cursors)
        self._bounds = reconnect_s
        self._inbox = Inbox(inbox)
        self._outbox = Outbox(self._remembers, self._surely, outbox)
        self._ready = asyncio.Event()
        self._ended: ParleyError | None = None
        self._saved_at = 0.0
        self._resuming = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None
        self._socket = Socket(
            self.api, backoff=Backoff(*reconnect_s), answer_s=answer_s,
            opened=self._opened, heard=self._heard, changed=self._changed,
        )  # fmt: skip

    # --- life ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self) -> None:
        try:
            await self._socket.run()
        except Disconnected as error:
            self._end(error, error)
        except Exception as error:
            self._end(ParleyError("internal", f"{type(error).__name__}: {error}"), error)

    def _end(self, for_senders: ParleyError, for_readers: BaseException) -> None:
        self._ended = for_senders
        self._changed("disconnected", for_senders.name)
        self._ready.set()
        self._inbox.end(for_readers)

    async def flush(self) -> None:
        """Wait until everything that was sent is stored."""
        await self._outbox.flushed()

    async def close(self) -> None:
        """Stop. Commands that wait are refused; messages that are not sent stay in the state."""
        if self._running is None:
            return
        for task in (self._running, *self._tasks):
            task.cancel()
        await asyncio.wait([self._running, *self._tasks])
        self._running = None
        await self._outbox.close()
        if self._ended is None:
            self._end(ParleyError("not_connected", "the client was closed"), StopAsyncIteration())
        self._inbox.settle()
        self._save()
        self._remembers.close()
        await self.api.close()

    def _changed(self, state: str, reason: str | None) -> None:
        self.state, self.reason = state, reason
        if state != "connected" and self._ended is None:
            self._ready.clear()

    # --- coming in ----------------------------------------------------------------------------------------------------

    async def _opened(self, welcome: Frame) -> None:
        """Say where we stand before anything is heard, and only then send."""
        self.welcome, self.user = welcome, welcome["user"]
        owner, epoch = str(welcome["user"]["id"]), str(welcome["epoch"])
        known = self._remembered
        if known.owner not in {None, owner}:
            self._remembers.clear(epoch, owner)
            self._standing, known.unsent = Standing({}), {}
        told = {str(it["id"]): it for it in [*welcome["conversations"], *await self._others(welcome)]}
        self.conversations = dict(told)
        asked = dict(self._standing.cursors)
        self._standing.begin((name, it["head"]) for name, it in told.items())
        await self._resume(asked, known.epoch or epoch)
        known.owner, known.epoch = owner, epoch
        self._remembers.stand(epoch, owner, {name: self._standing.cursors[name] for name in told if name not in asked})
        unsent, known.unsent = known.unsent, {}
        for payload in unsent.values():
            _ = self._outbox.go(payload)
        self._changed("connected", None)
        self._ready.set()
        self._mend()

    async def _others(self, welcome: Frame) -> list[Mapping[str, Any]]:
        """Welcome names the most recent 200 conversations; the rest come by pages."""
        found: list[Mapping[str, Any]] = []
        if len(welcome["conversations"]) < 200:
            return found
        after: str | None = None
        while True:
            page = await self.api.get("/conversations", **({"cursor": after} if after else {}))
            found += page["items"]
            after = page["next"]
            if after is None:
                return found

    async def _resume(self, cursors: Mapping[str, int], epoch: str) -> None:
        answer = await self._socket.ask("resume", {"epoch": epoch, "cursors": cursors})
        reset, gone = self._standing.resumed(cursors, answer)
        for conversation, head in reset.items():
            self._inbox.put(Reset(conversation, head))
        if gone:
            self._remembers.forget(gone)

    def _heard(self, frame: Frame) -> None:
        kind, payload = frame["type"], frame.get("payload", {})
        if kind == "log":
            self._heard_log(payload)
            return
        if kind == "conversation.added":
            conversation = payload["conversation"]
            self.conversations[str(conversation["id"])] = conversation
            self._standing.begin([(str(conversation["id"]), conversation["head"])])
        elif kind == "conversation.removed":
            self.conversations.pop(str(payload["conversation_id"]), None)
            self._standing.leave(str(payload["conversation_id"]))
            self._remembers.forget([str(payload["conversation_id"])])
        if not self._inbox.full:
            self._inbox.put(Signal(kind, payload))

    def _heard_log(self, payload: Frame) -> None:
        if self._inbox.full:
            self._standing.missed(payload)
            return
        for entry in self._standing.take(payload):
            self._inbox.put(self._message(entry) if entry.kind == "message.created" else entry)
        self._mend()

    def _message(self, entry: Entry) -> Message:
        return Message(
            entry.conversation_id, entry.seq, entry.kind, entry.by, entry.at, entry.client_id, entry.body, self
        )  # fmt: skip

    def _mend(self) -> None:
        """Ask again for what was missed, once there is room for it. One question at a time."""
        if not self._standing.holes or self._resuming or not self._inbox.roomy or not self._ready.is_set():
            return
        self._resuming = True
        holes, self._standing.holes = self._standing.holes, set()
        task = asyncio.create_task(self._ask_again({it: self._standing.cursors[it] for it in holes}))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_again(self, cursors: Mapping[str, int]) -> None:
        try:
            await self._resume(cursors, self._remembered.epoch or "")
        except ParleyError as error:
            # Not connected: the next welcome asks for everything. Refused for now: the next entry asks again.
            if error.name != "not_connected":
                self._standing.holes |= cursors.keys() & self._standing.cursors.keys()
        finally:
            self._resuming = False
        self._mend()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        event = await self._inbox.next()
        if time.monotonic() - self._saved_at > SAVE_S:
            self._save()
        self._mend()
        return event

    async def messages(self) -> AsyncIterator[Message]:
        """New messages of others, in every conversation."""
        async for event in self:
            if isinstance(event, Message) and not event.mine:
                yield event

    def _save(self) -> None:
        done, self._inbox.done = self._inbox.done, {}
        known = self._remembered
        if done and known.epoch is not None and known.owner is not None:
            self._remembers.stand(known.epoch, known.owner, done)
        self._saved_at = time.monotonic()

    # --- going out ----------------------------------------------------------------------------------------------------

    async def send(
        self,
        text: str | None,
        *,
        conversation_id: str | None = None,
        to_user_id: str | None = None,
        kind: str = "text",
        reply_to: str | None = None,
        thread_of: str | None = None,
        mentions: Sequence[str] = (),
        attachments: Sequence[str] = (),
    ) -> Sent:
        """Send a message and wait until it is stored, over as many reconnects as it takes. It goes out in send order of
        its conversation, also when the waiting is cancelled. `to_user_id`: in the direct conversation with them.

        Raises ParleyError: outbox_full, or why the server will not have it.
        """
        if (conversation_id is None) == (to_user_id is None):
            raise ValueError("one of conversation_id and to_user_id is wanted")
        given = {
            "conversation_id": conversation_id, "to_user_id": to_user_id, "client_id": uuid7(), "kind": kind,
            "text": text, "reply_to": reply_to, "thread_of": thread_of, "mentions": list(mentions),
            "attachments": list(attachments),
        }  # fmt: skip
        return await asyncio.shield(
            self._outbox.add({name: value for name, value in given.items() if value or name == "text"})
        )

    async def edit(self, conversation_id: str, message_id: str, text: str) -> Frame:
        return await self.command("message.edit", conversation_id=conversation_id, message_id=message_id, text=text)

    async def delete(self, conversation_id: str, message_id: str) -> Frame:
        return await self.command("message.delete", conversation_id=conversation_id, message_id=message_id)

    async def react(self, conversation_id: str, message_id: str, emoji: str) -> Frame:
        return await self.command("reaction.add", conversation_id=conversation_id, message_id=message_id, emoji=emoji)

    async def unreact(self, conversation_id: str, message_id: str, emoji: str) -> Frame:
        return await self.command(
            "reaction.remove", conversation_id=conversation_id, message_id=message_id, emoji=emoji
        )

    async def join(self, conversation_id: str) -> Frame:
        return await self.command("conversation.join", conversation_id=conversation_id)

    async def leave(self, conversation_id: str) -> Frame:
        return await self.command("conversation.leave", conversation_id=conversation_id)

    async def command(self, kind: str, **payload: Any) -> Frame:
        """A command that is stored, by its name in spec/protocol.md; repeated under one client_id until it is answered
        for good. Returns the payload of its ack."""
        return await self._surely(kind, {"client_id": uuid7(), **payload})

    async def signal(self, kind: str, **payload: Any) -> Frame:
        """A command that is not stored (`typing.set`, `presence.watch`, `read.mark`): now or not at all. Raises
        `not_connected`."""
        return await self._socket.ask(kind, payload)

    async def ready(self) -> None:
        """Wait until the connection is open and resumed. Raises ParleyError when there will be none."""
        await self._ready.wait()
        if self._ended is not None:
            raise self._ended

    async def _surely(self, kind: str, payload: Mapping[str, Any]) -> Frame:
        backoff = Backoff(*self._bounds)
        while True:
            await self.ready()
            try:
                return await self._socket.ask(kind, payload)
            except ParleyError as error:
                if not error.retryable:
                    raise
                wait = error.retry_after_s if error.name != "not_connected" else 0.0
            await asyncio.sleep(backoff.next() if wait is None else wait)
