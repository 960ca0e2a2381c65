"""Ids, kinds and roles. Everything here is a plain value."""

from enum import IntEnum, StrEnum
from typing import NewType

UserId = NewType("UserId", int)
ConversationId = NewType("ConversationId", int)
MessageId = NewType("MessageId", int)
"""A 64-bit snowflake; a string on the wire because a JavaScript number cannot hold it."""
SessionId = NewType("SessionId", int)

UserPair = tuple[UserId, UserId]
"""Two users, the lower id first: the identity of a direct conversation."""


def pair(one: UserId, other: UserId) -> UserPair:
    return (one, other) if one <= other else (other, one)


class ConversationKind(StrEnum):
    ROOM = "room"
    GROUP = "group"
    DIRECT = "direct"


class JoinPolicy(StrEnum):
    OPEN = "open"
    INVITE = "invite"


class Role(StrEnum):
    """A member's role in one conversation."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"

    @property
    def moderates(self) -> bool:
        """May delete others' messages, add, remove and rename."""
        return self is not Role.MEMBER


class ServerRole(StrEnum):
    """An account's role on the whole server."""

    ADMIN = "admin"
    MEMBER = "member"
    BOT = "bot"
    WEBHOOK = "webhook"
    """What a webhook posts as: nobody comes in as it, and it is in no list of people."""
    ASSISTANT = "assistant"


class MessageKind(StrEnum):
    TEXT = "text"
    IMAGE = "image"
    FILE = "file"
    VOICE = "voice"
    LOCATION = "location"
    STICKER = "sticker"
    SYSTEM = "system"


class AnswerStatus(StrEnum):
    """How an assistant's answer ended. While it grows, its message says `streaming`."""

    DONE = "done"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


STREAMING = "streaming"


class EntryKind(IntEnum):
    """What a log entry says happened. The number is what the store keeps, so it never changes."""

    MESSAGE_CREATED = 1
    MESSAGE_EDITED = 2
    MESSAGE_DELETED = 3
    MESSAGE_COMPLETED = 4
    REACTION_ADDED = 10
    REACTION_REMOVED = 11
    PIN_ADDED = 12
    PIN_REMOVED = 13
    MEMBER_JOINED = 20
    MEMBER_CHANGED = 21
    MEMBER_LEFT = 22
    CONVERSATION_CHANGED = 30
    CONVERSATION_CLOSED = 31
    CALL_ENDED = 40

    @property
    def wire(self) -> str:
        """The name in frames, such as `message.created`."""
        return WIRE_KINDS[self]


WIRE_KINDS: dict[int, str] = {kind: kind.name.lower().replace("_", ".", 1) for kind in EntryKind}


class LeaveReason(StrEnum):
    LEFT = "left"
    REMOVED = "removed"
    BANNED = "banned"
