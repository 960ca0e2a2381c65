"""The kind-specific part of a log entry, as it is stored and shown. Each is encoded once, when its entry is written."""

from typing import Any

import msgspec

from parley.protocol.types import AnswerStatus, MessageId, Role, UserId

_encode = msgspec.json.Encoder().encode


class MessageBody(msgspec.Struct, gc=False):
    """A message as it was first written."""

    id: str
    kind: str
    text: str | None
    reply_to: str | None = None
    thread_of: str | None = None
    mentions: list[str] = []
    attachments: list[dict[str, Any]] = []
    legacy: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    """What an older dialect's frame said beside the text."""
    status: str | msgspec.UnsetType = msgspec.UNSET
    """Of an assistant's answer: `streaming`, for as long as no `message.completed` follows."""


class Created(msgspec.Struct, gc=False):
    message: MessageBody


class Deleted(MessageBody, gc=False):
    """What is left of a deleted message wherever it is read."""

    deleted: bool = True


class _Tombstone(msgspec.Struct):
    message: Deleted


class _Edited(msgspec.Struct):
    message_id: str
    text: str | None
    edit: int


class _EmptiedEdit(_Edited):
    deleted: bool = True


class Completed(msgspec.Struct):
    """The end of a message that grew: all of its text."""

    message_id: str
    text: str | None
    status: str


class _EmptiedCompletion(Completed):
    deleted: bool = True


class _About(msgspec.Struct):
    message_id: str


class _Reaction(msgspec.Struct):
    message_id: str
    emoji: str


class _Member(msgspec.Struct):
    user_id: str
    name: str
    role: str


class _Left(msgspec.Struct):
    user_id: str
    reason: str


_decode_attachment = msgspec.json.Decoder(dict[str, Any]).decode
_decode_created = msgspec.json.Decoder(Created).decode
_decode_completed = msgspec.json.Decoder(Completed).decode


def created(message: MessageBody) -> bytes:
    return _encode(Created(message))


def read_created(body: str | bytes) -> MessageBody:
    """The message of a stored `message.created` body, deleted or not."""
    return _decode_created(body).message


def read_attachment(shown: str) -> dict[str, Any]:
    """A file's `shown` as a message carries it: `{id, name, size, type, width?, height?, duration_ms?, waveform?}`."""
    return _decode_attachment(shown)


def emptied(message_id: MessageId, kind: str) -> bytes:
    """The body of a created entry after its message was deleted: its place stays, its content is gone."""
    return _encode(_Tombstone(Deleted(id=str(message_id), kind=kind, text=None)))


def edited(message_id: MessageId, text: str, edit: int) -> bytes:
    return _encode(_Edited(str(message_id), text, edit))


def emptied_edit(message_id: MessageId, edit: int) -> bytes:
    return _encode(_EmptiedEdit(str(message_id), None, edit))


def completed(message_id: MessageId, text: str, status: AnswerStatus) -> bytes:
    return _encode(Completed(str(message_id), text, status.value))


def read_completed(body: str | bytes) -> Completed:
    """A stored `message.completed` body; `text` None where the message was deleted."""
    return _decode_completed(body)


def emptied_completion(message_id: MessageId, status: str) -> bytes:
    return _encode(_EmptiedCompletion(str(message_id), None, status))


def about(message_id: MessageId) -> bytes:
    """`message.deleted`, `pin.added`, `pin.removed`."""
    return _encode(_About(str(message_id)))


def reaction(message_id: MessageId, emoji: str) -> bytes:
    return _encode(_Reaction(str(message_id), emoji))


def member(user_id: UserId, name: str, role: Role) -> bytes:
    """`member.joined`, `member.changed`."""
    return _encode(_Member(str(user_id), name, role.value))


def left(user_id: UserId, reason: str) -> bytes:
    return _encode(_Left(str(user_id), reason))


def changed(fields: dict[str, str | None]) -> bytes:
    """`conversation.changed`: only what changed."""
    return _encode(fields)


NOTHING = b"{}"
"""`conversation.closed`."""
