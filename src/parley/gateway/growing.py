"""Answers that grow now, as this node has heard them, for whoever connects in the middle of one.

A node that has heard an answer from its beginning knows all of it. One that began to listen later, or missed a part,
takes the beginning from the draft in the store, which is about a second old, and joins to it what it has heard since:
by offsets, so that nothing is shown twice and nothing is left out. Until they meet it looks again every second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog

from parley.gateway.connection import Connection
from parley.gateway.feed import Feed
from parley.gateway.framing import frame
from parley.protocol.events import Entry, Signal
from parley.protocol.types import ConversationId, EntryKind, MessageId
from parley.store.interface import StoreUnavailable

log = structlog.get_logger()

DELTA = "ai.delta"
LOOK_S = 1.0
LOOKS = 20
"""How often in a row a beginning is looked for."""
ENDS = frozenset({EntryKind.MESSAGE_COMPLETED, EntryKind.MESSAGE_DELETED})


class Draft(Protocol):
    @property
    def message_id(self) -> MessageId: ...
    @property
    def conversation_id(self) -> ConversationId: ...
    @property
    def draft(self) -> str: ...


Load = Callable[[], Awaitable[Sequence[Draft]]]


class _Text:
    """What is known of one answer: the stretch from `start` on, in characters (code points)."""

    __slots__ = ("conversation_id", "start", "text")

    def __init__(self, conversation_id: ConversationId, start: int, text: str) -> None:
        self.conversation_id = conversation_id
        self.start = start
        self.text = text

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def hear(self, offset: int, text: str) -> bool:
        """False: something between has been missed, and what was known before is let go."""
        if offset == self.end:
            self.text += text
        elif offset > self.end:
            self.start, self.text = offset, text
            return False
        elif offset + len(text) > self.end:
            self.text += text[self.end - offset :]
        return True

    def join(self, draft: str) -> bool:
        """Put the beginning before it, if the draft reaches so far. True: all of it is known now."""
        if self.start and len(draft) >= self.start:
            known = draft[: self.start] + self.text
            self.start, self.text = 0, known if len(known) >= len(draft) else draft
        return self.start == 0


class Growing:
    """One node's. On the event loop."""

    def __init__(self, feeds: dict[ConversationId, Feed], load: Load | None = None) -> None:
        self._feeds = feeds
        self.load = load
        """The drafts of all nodes; None where there is only this one, which hears everything."""
        self._texts: dict[MessageId, _Text] = {}
        self._unsure: set[ConversationId] = set()
        """Where somebody waits to be told what other nodes know."""
        self._looking: asyncio.Task[None] | None = None

    def __bool__(self) -> bool:
        return bool(self._texts)

    def heard(self, signal: Signal) -> None:
        payload = signal.payload
        message, offset, text = MessageId(int(payload["message_id"])), int(payload["offset"]), str(payload["text"])
        conversation = ConversationId(int(payload["conversation_id"]))
        known = self._texts.get(message)
        if known is None:
            known = self._texts[message] = _Text(conversation, offset, text)
            whole = offset == 0
        else:
            whole = known.hear(offset, text)
        if not whole:
            self._look_for(conversation)

    def ended(self, entries: Sequence[Entry]) -> None:
        """Entries that were passed on. Call it only where something grows."""
        for entry in entries:
            if entry.kind in ENDS and entry.message_id is not None:
                self._texts.pop(entry.message_id, None)

    def unheard(self, conversation_id: ConversationId) -> None:
        """From now on this node hears nothing of it. What it knows is of no use to whoever comes later."""
        if self.load is not None:
            for message in [it for it, text in self._texts.items() if text.conversation_id == conversation_id]:
                del self._texts[message]

    def came(self, feed: Feed, connection: Connection) -> None:
        """It hears the conversation from now on: tell it what has been said of answers that grow."""
        for message, text in self._texts.items():
            if text.conversation_id == feed.conversation_id and text.start == 0 and text.text:
                payload = connection.codec.signal(_whole(message, text))
                if payload is not None:
                    connection.push(frame(payload))
        if self.load is not None and connection.legacy is None:
            self._look_for(feed.conversation_id)

    # Asking the store

    def _look_for(self, conversation_id: ConversationId) -> None:
        if self.load is None:
            return
        self._unsure.add(conversation_id)
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        assert self.load is not None
        try:
            for _ in range(LOOKS):
                asked, self._unsure = self._unsure, set()
                try:
                    self._join(asked, await self.load())
                except StoreUnavailable as error:
                    self._unsure |= asked
                    log.warning("drafts_not_read", error=type(error).__name__)
                await asyncio.sleep(LOOK_S)
                if not self._unsure:
                    break
        except Exception:
            log.exception("drafts_not_read")
        finally:
            self._looking = None

    def _join(self, asked: set[ConversationId], drafts: Sequence[Draft]) -> None:
        under_way = {draft.message_id for draft in drafts}
        for message, text in list(self._texts.items()):
            if text.conversation_id in asked and message not in under_way:
                # Its end was not heard here.
                del self._texts[message]
        for draft in drafts:
            if draft.conversation_id not in asked:
                continue
            known = self._texts.get(draft.message_id)
            if known is None:
                if not draft.draft:
                    continue
                known = self._texts[draft.message_id] = _Text(draft.conversation_id, 0, draft.draft)
            elif known.start == 0 and len(draft.draft) <= known.end:
                continue
            elif known.start == 0:
                known.text = draft.draft
            if not known.join(draft.draft):
                self._unsure.add(draft.conversation_id)
                continue
            feed = self._feeds.get(draft.conversation_id)
            if feed is not None:
                feed.signal(_whole(draft.message_id, known))


def _whole(message: MessageId, text: _Text) -> Signal:
    payload: dict[str, Any] = {
        "conversation_id": str(text.conversation_id),
        "message_id": str(message),
        "offset": 0,
        "text": text.text,
    }
    return Signal(DELTA, payload, text.conversation_id)
