"""The kama dialect (spec/dialects.md): ids `U…` for users and `G…` for conversations, one flat JSON object a frame.

Its `type` is 1 for a text (0 in one variant of these clients), 2 for a file, 3 for audio and video calls. What a call
frame says is the JSON text `av_data`: it is checked here and passed on as it came.

Every request carries the frame's `send_id` as its `ref` and every message in `legacy["send_id"]`: a codec does not
know whose socket it reads for, so whoever does asks `claims_other`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from parley.client_ids import new_client_id
from parley.dialects.base import Request
from parley.dialects.shared import (
    Links,
    answer_of,
    content_of,
    decode_object,
    encode,
    local_time,
    name_of,
    no_links,
    text_of,
)
from parley.protocol.bodies import MessageBody, read_created
from parley.protocol.commands import Command, SendMessage, SignalCall
from parley.protocol.errors import BadFrame, ChatError, Code
from parley.protocol.events import About, Ack, Entry, Signal
from parley.protocol.types import ConversationId, ConversationKind, EntryKind, UserId

WELCOME = "欢迎来到kama聊天服务器"
"""The first frame of every connection."""
BUSY = "由于目前同一时间过多用户发送消息，消息发送失败，请稍后重试"
LOGGED_OUT = "已退出登录"
"""The last frame before a connection is closed by `POST /ws/logout`."""
KAMA_LOGOUT = "node.kama_logout"
"""The signal to a user's kama sockets on every node: say that and close."""
NO_CLIENT_ID = "clientId获取失败"
"""The `msg` of the answer to a request that names no client."""

FILE, CALL = 2, 3
"""`type`. That of a text is the codec's own."""
KEPT_CALLS = frozenset({"start_call", "receive_call", "reject_call"})
PASSING_CALLS = frozenset({"sdp", "candidate"})
# Far above what these clients send, and far below what a frame could carry into every later page of the log.
KEPT_CHARS = 2048
AVATAR_CHARS = 512
_BUSY_CODES = frozenset(spec.code for spec in (Code.RATE_LIMITED, Code.BUSY, Code.DRAINING, Code.STORAGE_UNAVAILABLE))


class _Said(msgspec.Struct):
    """A server frame. The order of the fields is the order on the wire."""

    send_id: str
    send_name: str
    send_avatar: str
    receive_id: str
    type: int
    content: str = ""
    url: str = ""
    file_type: str = ""
    file_name: str = ""
    file_size: str = ""
    created_at: str = ""


class _SaidInCall(_Said):
    """The same and what the call says. One that only passed has no `created_at`: it never was an entry."""

    av_data: str = ""


class KamaCodec:
    """The kama dialect's `Codec`. `text_type` is the number of a text: 1, or 0 for the variant."""

    name = "kama"
    may_hush = True

    def __init__(self, text_type: int = 1, links: Links = no_links) -> None:
        self._links = links
        self._text_type = text_type

    def decode(self, frame: str) -> Request:
        said = decode_object(frame)
        send_id = text_of(said, "send_id", 64) or ""
        return Request(send_id or None, self._command(said, send_id))

    def _command(self, said: dict[str, Any], send_id: str) -> Command:
        conversation_id, to_user_id = _receiver(text_of(said, "receive_id") or "")
        content = text_of(said, "content") or ""
        file = {
            field: text_of(said, field, KEPT_CHARS) or "" for field in ("url", "file_type", "file_name", "file_size")
        }
        av_data = text_of(said, "av_data") or ""
        legacy = {"dialect": "kama"}
        match said.get("type"):
            case bool():  # an int to Python
                raise BadFrame("type must be a number.")
            case self._text_type:
                text = content
            case 2:  # FILE
                text = content or file["url"] or file["file_name"]
                legacy |= {"type": str(FILE), **{field: value for field, value in file.items() if value}}
                if not content:
                    # The text stands in for it elsewhere; these clients see it again as it was.
                    legacy["content"] = ""
            case 3:  # CALL
                return _call(to_user_id, av_data)
            case _:
                raise BadFrame(f"type must be {self._text_type}, {FILE} or {CALL}.")
        if not text.strip():
            raise BadFrame("content must not be empty.")
        if send_id:
            legacy["send_id"] = send_id
        avatar = said.get("send_avatar")
        # An odd avatar is no reason to lose a message.
        if isinstance(avatar, str) and 0 < len(avatar) <= AVATAR_CHARS:
            legacy["send_avatar"] = avatar
        return SendMessage(conversation_id, new_client_id(), text, to_user_id=to_user_id, legacy=legacy)

    def welcome(self, welcome: dict[str, Any]) -> None:
        return None

    def entries(self, about: About, head: int, more: bool, entries: Sequence[Entry]) -> Sequence[bytes]:
        """A frame for each new message and each kept call frame; this dialect has none for anything else."""
        shown = [said for entry in entries for said in self._shown(about, entry)]
        return [encode(said) for said in shown if said is not None]

    def _shown(self, about: About, entry: Entry) -> Sequence[_Said | None]:
        if entry.kind == EntryKind.MESSAGE_CREATED:
            message = read_created(entry.body)
            return self._files(about, entry, message) if message.attachments else [self._said(about, entry, message)]
        return [self._answered(about, entry)]

    def _files(self, about: About, entry: Entry, message: MessageBody) -> Sequence[_Said]:
        """A frame for each file; what was written stands in the first."""
        who = (f"U{entry.by}", name_of(entry), "", _addressed(about, entry))
        at, text = local_time(entry.at), message.text or ""
        return [
            _Said(
                *who, FILE, "" if number else text, self._links(file), file["type"], file["name"], str(file["size"]), at
            )
            for number, file in enumerate(message.attachments)
        ]

    def _answered(self, about: About, entry: Entry) -> _Said | None:
        text = answer_of(entry) if entry.kind == EntryKind.MESSAGE_COMPLETED else ""
        if not text:
            return None
        who = (f"U{entry.by}", name_of(entry), "", _addressed(about, entry))
        return _Said(*who, self._text_type, text, "", "", "", "", local_time(entry.at))

    def _said(self, about: About, entry: Entry, message: MessageBody) -> _Said | None:
        """None for what there is nothing to show of: a deleted message."""
        legacy = message.legacy or {}
        own = legacy if legacy.get("dialect") == "kama" else {}
        who = (f"U{entry.by}", name_of(entry), own.get("send_avatar", ""), _addressed(about, entry))
        at = local_time(entry.at)
        if "av_data" in own:
            return _SaidInCall(*who, CALL, created_at=at, av_data=own["av_data"])
        content = content_of(message)
        if not content:
            return None
        url, file_type = legacy.get("url", ""), legacy.get("file_type", "")
        name, size = legacy.get("file_name", ""), legacy.get("file_size", "")
        type_ = FILE if own.get("type") == str(FILE) else self._text_type
        return _Said(*who, type_, own.get("content", content), url, file_type, name, size, at)

    def signal(self, signal: Signal) -> bytes | None:
        """`call.frame` (user ids `from`, `to`; `from_name`; `data`: the `av_data`): a call frame that is not kept."""
        if signal.type == "notice" and "at" in signal.payload:
            # The assistant's: that it cannot be asked.
            return str(signal.payload["message"]).encode()
        if signal.type != "call.frame":
            return None
        call = signal.payload
        who = (f"U{call['from']}", str(call["from_name"]), "", f"U{call['to']}")
        return encode(_SaidInCall(*who, CALL, av_data=call["data"]))

    def ack(self, ref: str | None, ack: Ack) -> None:
        return None

    def done(self, ref: str | None, payload: dict[str, Any]) -> None:
        return None

    def error(self, ref: str | None, error: ChatError) -> bytes:
        """A plain text, because this dialect has no frame for it: the one its clients know where waiting helps, the
        error's own words elsewhere. What may have been stored is not said to have failed."""
        return (BUSY if error.spec.code in _BUSY_CODES else error.message).encode()

    def pong(self) -> None:
        """These clients know only the pings of the WebSocket protocol."""

    def echoes(self, about: About, entry: Entry) -> bool:
        """All but the frames of a call, which go to the one called."""
        return b'"av_data"' not in entry.body or "av_data" not in (read_created(entry.body).legacy or {})


def claims_other(command: Command, user_id: UserId, ref: str | None = None) -> bool:
    """Whether the frame said it was sent by somebody other than `user_id`. `ref` is the request's: a call's command has
    no room of its own for the claim. A frame that says nothing claims nothing."""
    claimed = ref
    if isinstance(command, SendMessage) and command.legacy is not None:
        claimed = command.legacy.get("send_id", ref)
    return claimed is not None and claimed != f"U{user_id}"


def _receiver(id_: str) -> tuple[ConversationId, UserId | None]:
    letter, digits = id_[:1], id_[1:]
    # 18 digits hold every id and are less than 2^63.
    if digits.isascii() and digits.isdecimal() and len(digits) <= 18 and int(digits) > 0:
        if letter == "U":
            return ConversationId(0), UserId(int(digits))
        if letter == "G":
            return ConversationId(int(digits)), None
    raise BadFrame("receive_id must be U or G and an id.")


def _call(to_user_id: UserId | None, data: str) -> SignalCall:
    if to_user_id is None:
        raise BadFrame("A call goes to a user, not to a group.")
    try:
        said = decode_object(data)
    except BadFrame:
        raise BadFrame("av_data must be a JSON object in a string.") from None
    what, kind = said.get("messageId"), said.get("type")
    if what == "PROXY" and isinstance(kind, str) and kind in KEPT_CALLS | PASSING_CALLS:
        return SignalCall(to_user_id, data, kept=kind in KEPT_CALLS)
    if what == "PEER_LEAVE":
        return SignalCall(to_user_id, data, kept=False)
    raise BadFrame("av_data is not a call's.")


def _addressed(about: About, entry: Entry) -> str:
    if about.kind != ConversationKind.DIRECT or about.pair is None:
        return f"G{about.conversation_id}"
    low, high = about.pair
    return f"U{high if entry.by == low else low}"
