"""The native protocol, version 1 (spec/protocol.md): JSON text frames, `parley.v1.json`."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import msgspec

from parley.client_ids import new_client_id, valid_client_id
from parley.clock import rfc3339
from parley.dialects.base import Request
from parley.protocol import commands as c
from parley.protocol.errors import BadFrame, ChatError, Code
from parley.protocol.events import About, Ack, Entry, Signal
from parley.protocol.types import ConversationId, MessageId, MessageKind, UserId
from parley.protocol.wire import wire_entry

MENTIONS = 100
EMOJI_BYTES = 64
WATCHED = 500
CURSORS = 10_000


class _Payload(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Send(_Payload):
    client_id: str
    conversation_id: str | None = None
    to_user_id: str | None = None
    kind: str = "text"
    text: str | None = None
    reply_to: str | None = None
    thread_of: str | None = None
    attachments: list[str] = []
    mentions: list[str] = []


class _Edit(_Payload):
    conversation_id: str
    message_id: str
    text: str
    client_id: str | None = None


class _Message(_Payload):
    conversation_id: str
    message_id: str
    client_id: str | None = None


class _Reaction(_Payload):
    conversation_id: str
    message_id: str
    emoji: str
    client_id: str | None = None


class _Conversation(_Payload):
    conversation_id: str
    client_id: str | None = None


class _Read(_Payload):
    conversation_id: str
    seq: int
    delivered_seq: int | None = None


class _Typing(_Payload):
    conversation_id: str
    is_typing: bool


class _Watch(_Payload):
    user_ids: list[str]


class _Cancel(_Payload):
    conversation_id: str
    message_id: str


class _Resume(_Payload):
    cursors: dict[str, int]
    epoch: str | None = None


class _Nothing(_Payload):
    pass


class _Frame(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    id: str | None = None


class _SendFrame(_Frame, tag="message.send"):
    payload: _Send


class _EditFrame(_Frame, tag="message.edit"):
    payload: _Edit


class _DeleteFrame(_Frame, tag="message.delete"):
    payload: _Message


class _ReactFrame(_Frame, tag="reaction.add"):
    payload: _Reaction


class _UnreactFrame(_Frame, tag="reaction.remove"):
    payload: _Reaction


class _PinFrame(_Frame, tag="pin.add"):
    payload: _Message


class _UnpinFrame(_Frame, tag="pin.remove"):
    payload: _Message


class _ReadFrame(_Frame, tag="read.mark"):
    payload: _Read


class _TypingFrame(_Frame, tag="typing.set"):
    payload: _Typing


class _WatchFrame(_Frame, tag="presence.watch"):
    payload: _Watch


class _JoinFrame(_Frame, tag="conversation.join"):
    payload: _Conversation


class _LeaveFrame(_Frame, tag="conversation.leave"):
    payload: _Conversation


class _CancelFrame(_Frame, tag="assistant.cancel"):
    payload: _Cancel


class _ResumeFrame(_Frame, tag="resume"):
    payload: _Resume


class _PingFrame(_Frame, tag="ping"):
    payload: _Nothing = msgspec.field(default_factory=_Nothing)


_AnyFrame = (
    _SendFrame
    | _EditFrame
    | _DeleteFrame
    | _ReactFrame
    | _UnreactFrame
    | _PinFrame
    | _UnpinFrame
    | _ReadFrame
    | _TypingFrame
    | _WatchFrame
    | _JoinFrame
    | _LeaveFrame
    | _CancelFrame
    | _ResumeFrame
    | _PingFrame
)
TYPES = frozenset(kind.__struct_config__.tag for kind in _AnyFrame.__args__)
"""Every command type; a test holds it to spec/protocol.md."""

_decode = msgspec.json.Decoder(_AnyFrame).decode
_encode = msgspec.json.Encoder().encode


class _Envelope(msgspec.Struct):
    type: Any = None
    id: Any = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


class NativeCodec:
    """The native protocol's `Codec`."""

    name = "native"
    may_hush = False

    def decode(self, frame: str) -> Request:
        try:
            parsed = _decode(frame)
        except msgspec.ValidationError as error:
            raise _explain(frame, error) from None
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise BadFrame("The frame is not a JSON object.") from None
        ref = parsed.id
        try:
            if ref is not None and (len(ref) > 64 or "\x00" in ref):
                raise _Wrong("id must be at most 64 characters, none of them U+0000")
            return Request(ref, _COMMANDS[type(parsed)](parsed.payload))
        except _Wrong as wrong:
            raise BadFrame(str(wrong), _returned(ref)) from None

    def welcome(self, welcome: dict[str, Any]) -> bytes:
        return _encode({"type": "welcome", "payload": welcome})

    def entries(self, about: About, head: int, more: bool, entries: Sequence[Entry]) -> Sequence[bytes]:
        joined = wire_entry(entries[0]) if len(entries) == 1 else b",".join([wire_entry(entry) for entry in entries])
        shape = b'{"type":"log","payload":{"conversation_id":"%d","head":%d,"more":%b,"entries":[%b]}}'
        return (shape % (about.conversation_id, head, b"true" if more else b"false", joined),)

    def echoes(self, about: About, entry: Entry) -> bool:
        return True

    def signal(self, signal: Signal) -> bytes:
        return _encode({"type": signal.type, "payload": signal.payload})

    def ack(self, ref: str | None, ack: Ack) -> bytes:
        message = f',"message_id":"{ack.message_id}"' if ack.message_id is not None else ""
        return (
            f'{{"type":"ack","id":{_ref(ref)},"payload":{{"conversation_id":"{ack.conversation_id}","seq":{ack.seq},'
            f'"at":"{rfc3339(ack.at)}","duplicate":{"true" if ack.duplicate else "false"}{message}}}}}'
        ).encode()

    def done(self, ref: str | None, payload: dict[str, Any]) -> bytes:
        return _encode({"type": "ack", "id": ref, "payload": payload})

    def error(self, ref: str | None, error: ChatError) -> bytes:
        return _encode({"type": "error", "id": ref, "payload": error.payload()})

    def pong(self) -> bytes:
        return b'{"type":"pong"}'


def _ref(ref: str | None) -> str:
    if ref is None:
        return "null"
    # Almost every client counts; only what needs escaping takes the long way.
    return f'"{ref}"' if ref.isalnum() and ref.isascii() else _encode(ref).decode()


def _returned(ref: Any) -> str | None:
    """What of a refused frame's id goes back with the answer."""
    return ref[:64] if isinstance(ref, str) and ref and "\x00" not in ref else None


class _Wrong(Exception):
    """The frame has the right shape and a wrong value; the text names the field."""


def _explain(frame: str, error: msgspec.ValidationError) -> BadFrame:
    """The frame's own id and what was wrong with it, if it is a JSON object at all."""
    try:
        envelope = _decode_envelope(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return BadFrame("The frame is not a JSON object.")
    ref = _returned(envelope.id)
    if isinstance(envelope.type, str) and envelope.type not in TYPES:
        return BadFrame(f"There is no command of type {envelope.type[:64]!r}.", ref, Code.UNKNOWN_TYPE)
    return BadFrame(str(error)[:200], ref)


def _id(value: str, field: str) -> int:
    # 19 digits may pass 2^63; 18 hold every snowflake until 2080.
    if value.isdecimal() and value.isascii() and len(value) <= 19:
        number = int(value)
        if number < 1 << 63:
            return number
    raise _Wrong(f"{field} must be an id: digits in a string")


def _conversation(value: str) -> ConversationId:
    return ConversationId(_id(value, "conversation_id"))


def _message(value: str, field: str = "message_id") -> MessageId:
    return MessageId(_id(value, field))


def _client_id(value: str | None) -> str:
    if value is None:
        return new_client_id()
    if not valid_client_id(value):
        raise _Wrong("client_id must be 1 to 64 of A-Z a-z 0-9 _ . : -")
    return value


def clean(text: str, field: str) -> str:
    """What no conversation can hold: U+0000, which PostgreSQL refuses, and lone surrogates, which are not UTF-8."""
    if "\x00" in text:
        raise _Wrong(f"{field} must not contain U+0000")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _Wrong(f"{field} must not contain lone surrogates") from None
    return text


def _emoji(value: str) -> str:
    if not value or len(value.encode(errors="surrogatepass")) > EMOJI_BYTES:
        raise _Wrong(f"emoji must be 1 to {EMOJI_BYTES} bytes")
    if any(unicodedata.category(letter) in {"Cc", "Zs", "Zl", "Zp", "Cs"} for letter in value):
        raise _Wrong("emoji must not contain spaces or control characters")
    return value


def _send(p: _Send) -> c.SendMessage:
    client_id = _client_id(p.client_id)
    if (p.conversation_id is None) == (p.to_user_id is None):
        raise _Wrong("exactly one of conversation_id and to_user_id must be there")
    try:
        kind = MessageKind(p.kind)
    except ValueError:
        raise _Wrong("kind must be text, image, file, voice, location or sticker") from None
    text = None if p.text is None else clean(p.text, "text")
    if len(p.mentions) > MENTIONS or len(p.attachments) > MENTIONS:
        raise _Wrong(f"mentions and attachments must be at most {MENTIONS}")
    if (
        kind is MessageKind.TEXT
        and p.conversation_id is not None
        and not (p.reply_to or p.mentions or p.attachments or p.thread_of)
    ):
        return c.SendMessage(_conversation(p.conversation_id), client_id, text)
    return c.SendMessage(
        _conversation(p.conversation_id) if p.conversation_id is not None else ConversationId(0),
        client_id,
        text,
        kind,
        UserId(_id(p.to_user_id, "to_user_id")) if p.to_user_id is not None else None,
        _message(p.reply_to, "reply_to") if p.reply_to is not None else None,
        _message(p.thread_of, "thread_of") if p.thread_of is not None else None,
        tuple(_id(file, "attachments") for file in p.attachments),
        tuple(UserId(_id(user, "mentions")) for user in p.mentions),
    )


def _edit(p: _Edit) -> c.EditMessage:
    return c.EditMessage(
        _conversation(p.conversation_id), _client_id(p.client_id), _message(p.message_id), clean(p.text, "text")
    )


def _about(kind: type[c.DeleteMessage] | type[c.AddPin] | type[c.RemovePin]) -> Any:
    return lambda p: kind(_conversation(p.conversation_id), _client_id(p.client_id), _message(p.message_id))


def _reaction(kind: type[c.AddReaction] | type[c.RemoveReaction]) -> Any:
    return lambda p: kind(
        _conversation(p.conversation_id), _client_id(p.client_id), _message(p.message_id), _emoji(p.emoji)
    )


def _whole(kind: type[c.JoinConversation] | type[c.LeaveConversation]) -> Any:
    return lambda p: kind(_conversation(p.conversation_id), _client_id(p.client_id))


def _seq(value: int, field: str) -> int:
    if not 0 <= value < 1 << 53:
        raise _Wrong(f"{field} must be a seq, from 0")
    return value


def _read(p: _Read) -> c.MarkRead:
    delivered = None if p.delivered_seq is None else _seq(p.delivered_seq, "delivered_seq")
    return c.MarkRead(_conversation(p.conversation_id), _seq(p.seq, "seq"), delivered)


def _watch(p: _Watch) -> c.WatchPresence:
    if len(p.user_ids) > WATCHED:
        raise _Wrong(f"user_ids must be at most {WATCHED}")
    return c.WatchPresence(tuple(UserId(_id(user, "user_ids")) for user in p.user_ids))


def _resume(p: _Resume) -> c.Resume:
    if len(p.cursors) > CURSORS:
        raise _Wrong(f"cursors must be at most {CURSORS}")
    epoch = None if p.epoch is None else clean(p.epoch, "epoch")
    return c.Resume(epoch, {_conversation(id_): _seq(seq, "cursors") for id_, seq in p.cursors.items()})


_COMMANDS: dict[type, Any] = {
    _SendFrame: _send,
    _EditFrame: _edit,
    _DeleteFrame: _about(c.DeleteMessage),
    _ReactFrame: _reaction(c.AddReaction),
    _UnreactFrame: _reaction(c.RemoveReaction),
    _PinFrame: _about(c.AddPin),
    _UnpinFrame: _about(c.RemovePin),
    _ReadFrame: _read,
    _TypingFrame: lambda p: c.SetTyping(_conversation(p.conversation_id), p.is_typing),
    _WatchFrame: _watch,
    _JoinFrame: _whole(c.JoinConversation),
    _LeaveFrame: _whole(c.LeaveConversation),
    _CancelFrame: lambda p: c.CancelAssistant(_conversation(p.conversation_id), _message(p.message_id)),
    _ResumeFrame: _resume,
    _PingFrame: lambda _: c.Ping(),
}
