"""The room dialect (spec: dialects.md): many rooms, joins and leaves, typing. Every frame is
`{"type": …, "payload": {…}}`."""

from collections.abc import Sequence
from typing import Any

from parley.client_ids import new_client_id
from parley.clock import rfc3339
from parley.dialects.base import Request
from parley.dialects.shared import (
    Links,
    answer_of,
    color_of,
    content_of,
    decode_object,
    encode,
    name_of,
    no_links,
    read_created,
    text_of,
)
from parley.protocol.commands import Command, Ping, SendMessage, SetTyping
from parley.protocol.errors import BadFrame, ChatError, Code
from parley.protocol.events import About, Ack, Entry, Signal
from parley.protocol.types import ConversationId, EntryKind, UserId

PASSED_ON = {"room.init": "init", "room.joined": "user_joined", "room.left": "user_left"}
"""Signals whose payload is the frame's, made by who knows who is there; `person` makes each user in it."""


def person(user_id: UserId, name: str) -> dict[str, Any]:
    """A user as `init`, `user_joined` and `user_left` show them. A guest who has written nothing yet has a negative
    id."""
    return {"user_id": user_id, "username": name, "color": color_of(user_id)}


class RoomCodec:
    """The `Codec` of one room. One instance serves all connections of the room: a frame is made once for each.

    `name` is what the clients connected with, and their `room_id`. The `id` of a message is its seq: these clients
    hold ids as JavaScript numbers, which a message id is too large for, and a seq is unique in its room for ever.
    """

    name = "room"
    may_hush = False

    def __init__(self, room_id: ConversationId, name: str, links: Links = no_links) -> None:
        self._links = links
        self.room_id = room_id
        self.room = name

    def decode(self, frame: str) -> Request:
        found = decode_object(frame)
        type_ = text_of(found, "type")
        if type_ is None:
            raise BadFrame("type must be there.")
        if type_ == "ping":
            return Request(None, Ping())
        if type_ not in {"message", "typing"}:
            raise BadFrame(f"There is no frame of type {type_[:64]!r}.", spec=Code.UNKNOWN_TYPE)
        payload = found.get("payload")
        if not isinstance(payload, dict):
            raise BadFrame("payload must be an object.")
        return Request(None, self._message(payload) if type_ == "message" else self._typing(payload))

    def _message(self, payload: dict[str, Any]) -> Command:
        content = text_of(payload, "content")
        if content is None or not content.strip():
            raise BadFrame("content must not be empty.")
        return SendMessage(self.room_id, new_client_id(), content)

    def _typing(self, payload: dict[str, Any]) -> Command:
        is_typing = payload.get("is_typing")
        if not isinstance(is_typing, bool):
            raise BadFrame("is_typing must be true or false.")
        return SetTyping(self.room_id, is_typing)

    def welcome(self, welcome: dict[str, Any]) -> None:
        """`init` takes its place: it is a signal, because it says who is there."""

    def entries(self, about: About, head: int, more: bool, entries: Sequence[Entry]) -> Sequence[bytes]:
        """New messages only, an assistant's when it has ended: these clients know neither edits nor deletes,
        reactions or roles."""
        frames = (self._shown(entry) for entry in entries)
        return [frame for frame in frames if frame is not None]

    def _shown(self, entry: Entry) -> bytes | None:
        if entry.kind == EntryKind.MESSAGE_CREATED:
            return self._said(entry, content_of(read_created(entry.body), self._links))
        return self._said(entry, answer_of(entry)) if entry.kind == EntryKind.MESSAGE_COMPLETED else None

    def _said(self, entry: Entry, content: str) -> bytes | None:
        if not content:
            return None
        return _frame(
            "message",
            {
                "id": entry.seq,
                "room_id": self.room,
                "user_id": entry.by,
                "username": name_of(entry),
                "color": color_of(entry.by),
                "type": "text",
                "content": content,
                "created_at": rfc3339(entry.at),
            },
        )

    def signal(self, signal: Signal) -> bytes | None:
        """`typing` carries `username` beside the native fields; a `notice` carries `content` and `created_at`. A
        notice without them is another dialect's."""
        payload = signal.payload
        if signal.type in PASSED_ON:
            return _frame(PASSED_ON[signal.type], payload)
        if signal.type == "typing":
            user_id = int(payload["user_id"])
            username = signal.by_name or payload.get("username") or f"u{user_id}"
            return _frame("typing", {"user_id": user_id, "username": username, "is_typing": payload["is_typing"]})
        if signal.type == "notice" and "content" in payload:
            created_at = payload.get("created_at", "")
            return _frame("message", {"type": "system", "content": payload["content"], "created_at": created_at})
        if signal.type == "notice" and "at" in payload:
            # The assistant's: that it cannot be asked.
            return _frame("message", {"type": "system", "content": payload["message"], "created_at": payload["at"]})
        return None

    def ack(self, ref: str | None, ack: Ack) -> None:
        return None

    def done(self, ref: str | None, payload: dict[str, Any]) -> None:
        return None

    def error(self, ref: str | None, error: ChatError) -> bytes:
        return _frame("error", error.payload())

    def pong(self) -> bytes:
        return b'{"type":"pong"}'

    def echoes(self, about: About, entry: Entry) -> bool:
        return True


def _frame(type_: str, payload: dict[str, Any]) -> bytes:
    return encode({"type": type_, "payload": payload})
