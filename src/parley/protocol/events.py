"""What happened, in the past tense: log entries, and the signals that are not history."""

from typing import Any

import msgspec

from parley.protocol.types import ConversationId, EntryKind, MessageId, UserId


class Entry(msgspec.Struct, frozen=True):
    """One durable change of a conversation, as stored.

    `body` is the JSON object of the kind's own fields exactly as the native protocol shows them (`{"message": {…}}`,
    `{"message_id": …}`), encoded once when the entry is written and never again. `at` is in milliseconds since 1970,
    UTC. `ordinal` is how many messages the conversation held up to and with this entry.
    """

    conversation_id: ConversationId
    seq: int
    kind: EntryKind
    by: UserId
    client_id: str
    at: int
    ordinal: int
    body: bytes
    message_id: MessageId | None = None
    """The message it makes or changes."""
    user_id: UserId | None = None
    """The member it is about (`member.*`)."""
    by_name: str = ""
    """The writer's display name at the time, for dialects that show names in frames. Not stored: a page read from the
    store has it from the account."""


class About(msgspec.Struct, frozen=True):
    """What a dialect's frames say of the conversation they are in. `pair`: the two users of a direct one, lower id
    first."""

    conversation_id: ConversationId
    kind: str = ""
    name: str | None = None
    title: str | None = None
    lobby: bool = False
    pair: tuple[int, int] | None = None


class Ack(msgspec.Struct, frozen=True):
    """The answer to a durable command: committed, with this seq."""

    conversation_id: ConversationId
    seq: int
    at: int
    duplicate: bool
    message_id: MessageId | None = None
    head: int = 0


class Signal(msgspec.Struct, frozen=True):
    """Not history: may be lost, has no seq. `payload` is the native payload; other dialects take from it what they
    show."""

    type: str
    payload: dict[str, Any]
    conversation_id: ConversationId | None = None
    by_name: str = ""
    """The display name of whom it is about, for dialects that show names in frames."""
