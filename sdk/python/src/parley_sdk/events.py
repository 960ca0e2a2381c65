"""What a client hears. Objects that travel keep the names of spec/protocol.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parley_sdk.client import Client


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a conversation's log. Of each conversation they come in order of `seq`, each once, none left out.

    `body`: what stands beside seq, kind, by, at and client_id, such as `message` or `message_id`.
    """

    conversation_id: str
    seq: int
    kind: str
    by: str
    at: str
    client_id: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message(Entry):
    """A `message.created` entry. `text` is None of one that was deleted since."""

    client: Client = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        return str(self.body["message"]["id"])

    @property
    def text(self) -> str | None:
        text: str | None = self.body["message"].get("text")
        return text

    @property
    def message(self) -> Mapping[str, Any]:
        """As it travels: `kind`, `reply_to`, `mentions`, `attachments`, …"""
        message: Mapping[str, Any] = self.body["message"]
        return message

    @property
    def mine(self) -> bool:
        """Whether this client's own account wrote it, here or elsewhere."""
        return self.client.user is not None and self.by == self.client.user["id"]

    async def reply(self, text: str, **more: Any) -> Sent:
        """Answer it where it was said; `more` as in `Client.send`."""
        return await self.client.send(text, conversation_id=self.conversation_id, reply_to=self.id, **more)

    async def react(self, emoji: str) -> Mapping[str, Any]:
        return await self.client.react(self.conversation_id, self.id, emoji)


@dataclass(frozen=True, slots=True)
class Signal:
    """What is not history, and may be missed: `typing`, `read`, `presence`, `ai.delta` (see `Answers`), `ai.queued`,
    `upload.progress`, `notice`, …"""

    type: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reset:
    """What was missed of this conversation cannot be sent entry by entry (too much, or history was restored): entries
    go on behind `head`. Read what is needed with `client.api`."""

    conversation_id: str
    head: int


Event = Entry | Signal | Reset


@dataclass(frozen=True, slots=True)
class Sent:
    """Stored for good. `duplicate`: it was already, by an earlier try."""

    conversation_id: str
    message_id: str
    seq: int
    at: str
    duplicate: bool
