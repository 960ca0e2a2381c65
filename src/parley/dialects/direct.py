"""The direct dialect (spec/dialects.md): private and group chat by numeric ids, one flat JSON object a frame.

A client's frame says where it goes by `chatType` (1 group, 2 private) and what it carries by `contentType` (1 text,
2 image, 3 sticker). An image's content is its URL: it is kept as a text, so that every other dialect shows the link.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from parley.client_ids import new_client_id
from parley.dialects.base import Request
from parley.dialects.shared import Links, answer_of, content_of, decode_object, encode, no_links, text_of
from parley.protocol.bodies import MessageBody, read_created
from parley.protocol.commands import Ping, SendMessage
from parley.protocol.errors import BadFrame, ChatError, Code
from parley.protocol.events import About, Ack, Entry, Signal
from parley.protocol.types import ConversationId, ConversationKind, EntryKind, MessageKind, UserId

GROUP, PRIVATE, SYSTEM = 1, 2, 99
"""`chatType`. 99 comes from the server only."""
TEXT, IMAGE, STICKER = 1, 2, 3
"""`contentType`."""
LOBBY = "all"


class _Said(msgspec.Struct, rename="camel"):
    """A server frame. The order of the fields is the order on the wire."""

    conversation_id: str
    recv_id: str
    send_id: str
    chat_type: int
    content: str
    content_type: int


class _GroupInfo(msgspec.Struct, rename="camel"):
    group_id: str
    group_name: str
    member_ids: list[str]
    creator_id: str


class _System(_Said, rename="camel"):
    system_type: str
    group_info: _GroupInfo


class DirectCodec:
    """The direct dialect's `Codec`. `rooms` finds an open room by its name, without waiting; None: there is none."""

    name = "direct"
    may_hush = True

    def __init__(
        self, lobby_id: ConversationId, rooms: Callable[[str], ConversationId | None], links: Links = no_links
    ) -> None:
        self._links = links
        self._lobby_id = lobby_id
        self._rooms = rooms

    def decode(self, frame: str) -> Request:
        said = decode_object(frame)
        if said.get("type") == "ping":
            return Request(None, Ping())
        # Said by these clients and never believed: the sender is the token's user. Only its type is looked at.
        text_of(said, "sendId")
        conversation_id, to_user_id = self._addressee(said)
        content = text_of(said, "content")
        if content is None or not content.strip():
            raise BadFrame("content must not be empty.")
        content_type = _whole(said, "contentType", TEXT)
        if content_type not in (TEXT, IMAGE, STICKER):
            raise BadFrame("contentType must be 1, 2 or 3.")
        kind = MessageKind.STICKER if content_type == STICKER else MessageKind.TEXT
        legacy = _beside(content_type, content)
        return Request(None, SendMessage(conversation_id, new_client_id(), content, kind, to_user_id, legacy=legacy))

    def _addressee(self, said: dict[str, Any]) -> tuple[ConversationId, UserId | None]:
        receiver = text_of(said, "recvId") or ""
        conversation = text_of(said, "conversationId") or ""
        chat_type = _whole(said, "chatType", 0)
        if chat_type == PRIVATE:
            return ConversationId(0), UserId(_id(receiver, "recvId"))
        if chat_type == GROUP:
            return self._group(conversation), None
        raise BadFrame("chatType must be 1 or 2.")

    def _group(self, id_: str) -> ConversationId:
        if id_ in ("", LOBBY):
            return self._lobby_id
        if id_.isdecimal():
            return ConversationId(_id(id_, "conversationId"))
        found = self._rooms(id_)
        if found is None:
            raise BadFrame("There is no room of this name.", spec=Code.UNKNOWN_CONVERSATION)
        return found

    def welcome(self, welcome: dict[str, Any]) -> None:
        return None

    def entries(self, about: About, head: int, more: bool, entries: Sequence[Entry]) -> Sequence[bytes]:
        """A frame for each new message, and one for a group's end; this dialect has none for anything else."""
        shown = [_shown(about, entry, self._links) for entry in entries]
        return [encode(said) for said in shown if said is not None]

    def signal(self, signal: Signal) -> bytes | None:
        """`direct.system` tells that a group began (`group_create`) or ended (`group_dismiss`) for this user."""
        if signal.type == "notice" and "at" in signal.payload:
            # The assistant's: that it cannot be asked.
            told = {field: signal.payload[field] for field in ("code", "name", "message")}
            return encode({"error": told})
        if signal.type != "direct.system":
            return None
        info = msgspec.convert(signal.payload["groupInfo"], _GroupInfo)
        kind = signal.payload["systemType"]
        return encode(_System(info.group_id, "", info.creator_id, SYSTEM, "", TEXT, kind, info))

    def ack(self, ref: str | None, ack: Ack) -> None:
        return None

    def done(self, ref: str | None, payload: dict[str, Any]) -> None:
        return None

    def error(self, ref: str | None, error: ChatError) -> bytes:
        return encode({"error": {"code": error.spec.code, "name": error.spec.name, "message": error.message}})

    def pong(self) -> bytes:
        return b'{"type":"pong"}'

    def echoes(self, about: About, entry: Entry) -> bool:
        """Private messages are not echoed. Notes to oneself are: the sender is their receiver."""
        return about.kind != ConversationKind.DIRECT or (about.pair is not None and about.pair[0] == about.pair[1])


def _whole(said: dict[str, Any], field: str, default: int) -> int:
    value = said.get(field, default)
    # JSON's true is an int to Python.
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadFrame(f"{field} must be a whole number.")
    return value


def _id(text: str, field: str) -> int:
    # 18 digits hold every id and are less than 2^63.
    if text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) > 0:
        return int(text)
    raise BadFrame(f"{field} must be an id: digits in a string.")


def _beside(content_type: int, content: str) -> dict[str, str] | None:
    """What the text alone does not say; nothing for a plain text, which is most of them."""
    if content_type == TEXT:
        return None
    legacy = {"dialect": "direct", "content_type": str(content_type)}
    if content_type == IMAGE:
        legacy["url"] = content
    return legacy


def _shown(about: About, entry: Entry, links: Links) -> _Said | None:
    if entry.kind == EntryKind.MESSAGE_CREATED:
        return _said(about, entry, *_content(read_created(entry.body), links))
    if entry.kind == EntryKind.MESSAGE_COMPLETED:
        return _said(about, entry, TEXT, answer_of(entry))
    if entry.kind == EntryKind.CONVERSATION_CLOSED:
        info = _GroupInfo(str(about.conversation_id), about.title or about.name or "", [], str(entry.by))
        return _System(info.group_id, "", info.creator_id, SYSTEM, "", TEXT, "group_dismiss", info)
    return None


def _said(about: About, entry: Entry, content_type: int, content: str) -> _Said | None:
    """None for what this dialect has nothing to show of."""
    if not content:
        return None
    if about.pair is not None:
        low, high = about.pair
        other = high if entry.by == low else low
        return _Said(str(about.conversation_id), str(other), str(entry.by), PRIVATE, content, content_type)
    group = LOBBY if about.lobby else str(about.conversation_id)
    return _Said(group, "", str(entry.by), GROUP, content, content_type)


def _content(message: MessageBody, links: Links) -> tuple[int, str]:
    """`contentType` and `content`, also of what another dialect wrote: its pictures are pictures here too."""
    legacy = message.legacy or {}
    if "av_data" in legacy:
        # The frames of a call say something only to the dialect that began it.
        return TEXT, ""
    if message.kind == MessageKind.IMAGE and len(message.attachments) == 1 and not message.text:
        return IMAGE, links(message.attachments[0])
    if message.kind == MessageKind.STICKER:
        return STICKER, content_of(message)
    if legacy.get("content_type") == str(IMAGE):
        return IMAGE, content_of(message)
    if legacy.get("file_type", "").startswith("image/") and legacy.get("url"):
        return IMAGE, legacy["url"]
    return TEXT, content_of(message, links)
