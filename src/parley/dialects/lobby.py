"""The lobby dialect (spec: dialects.md): one public room, guests, a text heartbeat. Chat frames are
`{"message": {…}}`; whatever else is text is chat as well."""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from parley.client_ids import new_client_id
from parley.dialects.base import Request
from parley.dialects.shared import (
    Links,
    answer_of,
    clean,
    clean_all,
    content_of,
    encode,
    local_time,
    local_time_of,
    name_of,
    names_of,
    no_links,
    read_created,
    text_of,
)
from parley.protocol.bodies import MessageBody
from parley.protocol.commands import Command, Ping, SendMessage, SetLabel
from parley.protocol.errors import BadFrame, ChatError
from parley.protocol.events import About, Ack, Entry, Signal
from parley.protocol.types import ConversationId, EntryKind

SYSTEM_ID, SYSTEM_NAME = "system", "系统"
ASSISTANT_ID = "ai"
RESERVED = frozenset({ASSISTANT_ID, SYSTEM_ID, SYSTEM_NAME})

LABEL = ("userid", "userphone", "username")
"""What a client says that it is called; only these can pose as somebody."""
KEPT = ("userid", "userphone", "email", "username", "image", "time", "filelink")
KEPT_CHARS = 512
SHOWN_IF_GIVEN = ("email", "username", "image")
"""The others are always there, empty if need be."""


class LobbyCodec:
    """The `Codec` of the room `lobby_id`. One instance serves all lobby connections: a frame is made once for each.

    A message keeps in `legacy`, beside the fields its client gave, `form` where the frame was not a chat frame with
    a text:

    - `text`: plain text, relayed as it came;
    - `object`: a JSON object of the client's own, shown as the `message` text of a chat frame;
    - `link`: a chat frame with a `filelink` and no words; its text, for everybody else, is the link;
    - `answer`: not of a frame, but the assistant's own, with the `userid` and `userphone` that nobody else may have.

    `reserved` are names, beside `ai`, `system` and `系统`, that nobody may give themselves: the assistant's, say.
    """

    name = "lobby"
    may_hush = False

    def __init__(self, lobby_id: ConversationId, reserved: Iterable[str] = (), links: Links = no_links) -> None:
        self._links = links
        self.room_id = lobby_id
        self._reserved = frozenset(_key(name) for name in (*RESERVED, *reserved))

    def decode(self, frame: str) -> Request:
        if frame == "ping":
            return Request(None, Ping())
        if not frame.strip():
            raise BadFrame("The frame is empty.")
        found = _read_object(clean(frame, "The frame"))
        return Request(None, self._send(frame, {"form": "text"}) if found is None else self._meaning(frame, found))

    def _meaning(self, frame: str, found: dict[str, Any]) -> Command:
        message, online = found.get("message"), found.get("online")
        if isinstance(message, dict):
            return self._chat(message)
        if message is not None:
            raise BadFrame("message must be an object.")
        if isinstance(online, dict):
            return SetLabel(self._kept(online, LABEL + SHOWN_IF_GIVEN))
        return self._send(frame, {"form": "object"})

    def _chat(self, message: dict[str, Any]) -> SendMessage:
        text = text_of(message, "message") or ""
        kept = self._kept(message, KEPT)
        if text.strip():
            return self._send(text, kept)
        link = kept.get("filelink", "")
        if not link.strip():
            raise BadFrame("message must not be empty.")
        return self._send(link, kept | {"form": "link"})

    def _kept(self, found: dict[str, Any], fields: Sequence[str]) -> dict[str, str]:
        """Those of `fields` that are there, without labels that would pose as the server or its assistant."""
        given = ((field, text_of(found, field, KEPT_CHARS)) for field in fields)
        return {
            field: text
            for field, text in given
            if text is not None and not (field in LABEL and _key(text) in self._reserved)
        }

    def _send(self, text: str, legacy: dict[str, str]) -> SendMessage:
        return SendMessage(self.room_id, new_client_id(), text, legacy={"dialect": self.name, **legacy})

    def welcome(self, welcome: dict[str, Any]) -> None:
        return None

    def entries(self, about: About, head: int, more: bool, entries: Sequence[Entry]) -> Sequence[bytes]:
        """New messages only, an assistant's when it has ended: these clients know neither edits nor deletes,
        reactions or members."""
        frames = (self._shown(entry) for entry in entries)
        return [frame for frame in frames if frame is not None]

    def _shown(self, entry: Entry) -> bytes | None:
        if entry.kind == EntryKind.MESSAGE_COMPLETED:
            text = answer_of(entry)
            return _chat_frame(ASSISTANT_ID, name_of(entry), text, local_time(entry.at)) if text else None
        return self._said(entry) if entry.kind == EntryKind.MESSAGE_CREATED else None

    def _said(self, entry: Entry) -> bytes | None:
        message = read_created(entry.body)
        if message.attachments:
            return self._with_file(entry, message)
        content = content_of(message)
        if not content:
            return None
        legacy = message.legacy or {}
        if legacy.get("dialect") != self.name:
            return _chat_frame(str(entry.by), name_of(entry), content, local_time(entry.at), legacy.get("url", ""))
        form = legacy.get("form")
        if form == "text":
            return content.encode()
        return _chat_frame(
            legacy.get("userid") or str(entry.by),
            legacy.get("userphone") or name_of(entry),
            "" if form == "link" else content,
            legacy.get("time") or local_time(entry.at),
            None if form == "answer" else legacy.get("filelink", ""),
            {field: legacy[field] for field in SHOWN_IF_GIVEN if field in legacy},
        )

    def _with_file(self, entry: Entry, message: MessageBody) -> bytes:
        """The first file is the frame's link; the links of more stand in its text, a line each."""
        first, *more = map(self._links, message.attachments)
        text = "\n".join([message.text or names_of(message), *more])
        return _chat_frame(str(entry.by), name_of(entry), text, local_time(entry.at), first)

    def signal(self, signal: Signal) -> bytes | None:
        """`presence.came` and `presence.went` carry `userid` and `userphone`; a `notice`, the assistant's answer among
        them, carries these, `message`, `time` and, of a file, `filelink`. A notice without a `userphone` is another
        dialect's."""
        payload = signal.payload
        userid, userphone = str(payload.get("userid", "")), str(payload.get("userphone", ""))
        match signal.type:
            case "presence.came":
                return encode({"online": {"userid": userid, "userphone": userphone}})
            case "presence.went":
                return encode({"offline": {"userid": userid, "userphone": userphone}})
            case "upload.progress" if payload.get("quarter"):
                percent = 100 * payload["offset"] // max(payload["size"], 1)
                text = f"{signal.by_name} 正在上传 {payload['name']}（{percent}%）"
                return _chat_frame(SYSTEM_ID, SYSTEM_NAME, text, "")
            case "notice" if "userphone" in payload:
                text, time = payload.get("message", ""), payload.get("time", "")
                return _chat_frame(userid, userphone, text, time, payload.get("filelink"))
            case "notice" if "at" in payload:
                # The assistant's: that it cannot be asked.
                return _chat_frame(SYSTEM_ID, SYSTEM_NAME, payload["message"], local_time_of(payload["at"]))
            case _:
                return None

    def ack(self, ref: str | None, ack: Ack) -> None:
        return None

    def done(self, ref: str | None, payload: dict[str, Any]) -> None:
        return None

    def error(self, ref: str | None, error: ChatError) -> bytes:
        """The dialect has no frame for errors: the server says it as a person would, to that client alone. Without a
        time, because a codec has no clock."""
        return _chat_frame(SYSTEM_ID, SYSTEM_NAME, error.message, "")

    def pong(self) -> bytes:
        return b"pong"

    def echoes(self, about: About, entry: Entry) -> bool:
        return True


def _read_object(frame: str) -> dict[str, Any] | None:
    """The JSON object a frame is, numbers as the texts they were written as; None for plain text.

    Raises BadFrame for an object that some readers take and we cannot keep. It reads as the most lenient of the
    clients do, hence `json` and not `msgspec`: what passed here as plain text would be relayed as it came, and a
    client that reads it as a chat frame would show whatever name is in it.
    """
    if not frame.lstrip(" \t\r\n\ufeff").startswith("{"):
        return None
    try:
        found = json.loads(frame.lstrip("\ufeff"), parse_int=str, parse_float=str)
    except RecursionError:
        raise BadFrame("The frame is nested too deep.") from None
    except ValueError:
        return None
    if "\\u" in frame:
        clean_all(found)
    return found  # type: ignore[no-any-return]  # what begins with a brace is an object


def _key(name: str) -> str:
    """A name as people see it: no case, no width, no spaces, nothing invisible."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] not in "CZ")


def _chat_frame(
    userid: str,
    userphone: str,
    message: str,
    time: str,
    filelink: str | None = None,
    more: dict[str, str] | None = None,
) -> bytes:
    """The keys in the order these systems wrote them; what the server says by itself had no `filelink`."""
    shown = {"userid": userid, "userphone": userphone, "message": message, "time": time}
    if filelink is not None:
        shown["filelink"] = filelink
    return encode({"message": shown | (more or {})})
