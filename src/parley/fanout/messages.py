"""What nodes say to each other, in MessagePack, under the name of the node that says it.

Fields go by name and not by place, so that nodes of neighbouring versions understand each other during an upgrade:
what one does not know it passes over, what it misses has a default. A type of message that it does not know at all is
dropped, like every hint that was lost.
"""

import msgspec

from parley.protocol.events import Entry, Signal
from parley.protocol.types import ConversationId, SessionId, UserId


class Published(msgspec.Struct, frozen=True, tag="entries", gc=False):
    """One conversation's entries of one batch, in log order."""

    entries: list[Entry]


class ToldConversation(msgspec.Struct, frozen=True, tag="conversation", gc=False):
    conversation_id: ConversationId
    signal: Signal
    without: UserId | None = None


class ToldUser(msgspec.Struct, frozen=True, tag="user", gc=False):
    user: UserId
    signal: Signal


class Invited(msgspec.Struct, frozen=True, tag="invite", gc=False):
    user: UserId
    conversation_id: ConversationId
    cursor: int


class SessionEnded(msgspec.Struct, frozen=True, tag="ended", gc=False):
    user: UserId
    session_id: SessionId | None


class SeatTaken(msgspec.Struct, frozen=True, tag="seat", gc=False):
    user: UserId
    dialect: str
    connection_id: str


Message = Published | ToldConversation | ToldUser | Invited | SessionEnded | SeatTaken

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Message).decode
"""Raises msgspec.MsgspecError and nothing else."""
