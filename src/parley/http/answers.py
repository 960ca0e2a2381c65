"""What conversations and messages look like over HTTP.

The models document the answers in OpenAPI. The bytes are made by msgspec, because entries and messages hold stored JSON
that must be passed on as it is.
"""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, Field
from starlette.responses import Response

from parley.clock import rfc3339
from parley.http.people import User
from parley.protocol.events import Ack

Id = Annotated[str, Field(examples=["42"])]
Time = Annotated[str, Field(examples=["2026-11-21T08:30:00.123Z"])]
Role = Literal["owner", "admin", "member"]


def reply(value: Any, status: int = 200) -> Response:
    """JSON of a value that may hold `msgspec.Raw`."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def listed(items: Any, following: object | None) -> Response:
    """A list and the cursor of its next page."""
    return reply({"items": items, "next": None if following is None else str(following)})


def ack_shape(ack: Ack) -> dict[str, object]:
    shape: dict[str, object] = {
        "conversation_id": str(ack.conversation_id),
        "seq": ack.seq,
        "at": rfc3339(ack.at),
        "duplicate": ack.duplicate,
    }
    if ack.message_id is not None:
        shape["message_id"] = str(ack.message_id)
    return shape


class AckAnswer(BaseModel):
    """Committed to durable storage, with this seq. `duplicate`: this client_id was answered so before."""

    conversation_id: Id
    seq: int
    at: Time
    duplicate: bool
    message_id: Id | None = Field(None, description="Only where a message is made or changed.")


class AckList(BaseModel):
    items: list[AckAnswer]
    next: None


class ReactionAnswer(BaseModel):
    emoji: str
    user_ids: list[Id]


class AttachmentAnswer(BaseModel):
    id: Id
    name: str
    size: int
    type: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None


class MessageAnswer(BaseModel):
    """A message as it stands now. Of a deleted one only its place is left."""

    id: Id
    conversation_id: Id
    seq: int
    ordinal: int = Field(description="Which message of the conversation it is, from 1.")
    by: Id
    at: Time
    client_id: str
    kind: Literal["text", "image", "file", "voice", "location", "sticker", "system"]
    text: str | None
    reply_to: Id | None
    thread_of: Id | None
    mentions: list[Id]
    attachments: list[AttachmentAnswer]
    edit: int = Field(description="How often it was edited.")
    edited_at: Time | None
    deleted: bool
    pinned: bool
    reactions: list[ReactionAnswer] = Field(description="In the order of their first use.")
    status: Literal["streaming", "done", "cancelled", "interrupted"] | None = Field(
        None, description="Only of a message that grows or grew."
    )


class ConversationAnswer(BaseModel):
    """A conversation as the caller sees it, at `head`: add the entries after it."""

    id: Id
    kind: Literal["room", "group", "direct"]
    name: str | None
    title: str | None
    head: int
    epoch: str
    join_policy: Literal["open", "invite"]
    role: Role
    member_count: int
    read_seq: int
    delivered_seq: int
    unread: int
    peer: User | None
    last_message: MessageAnswer | None
    created_at: Time
    closed: bool


class ConversationList(BaseModel):
    items: list[ConversationAnswer]
    next: str | None


class RoomAnswer(BaseModel):
    id: Id
    name: str
    title: str | None
    member_count: int
    joined: bool


class RoomList(BaseModel):
    items: list[RoomAnswer]
    next: str | None


class MemberAnswer(BaseModel):
    user: User
    role: Role
    joined_at: Time


class MemberList(BaseModel):
    items: list[MemberAnswer]
    next: str | None


class EntryAnswer(BaseModel, extra="allow"):
    """An entry of the log; the fields of its kind stand beside these."""

    seq: int
    kind: str = Field(examples=["message.created"])
    by: Id
    at: Time
    client_id: str
    ordinal: int


class LogAnswer(BaseModel):
    conversation_id: Id
    epoch: str
    head: int
    entries: list[EntryAnswer]
    next_after: int | None = Field(description="The `after` of the next page; null when this one reaches `head`.")


class MessagePage(BaseModel):
    items: list[MessageAnswer]
    epoch: str
    head: int
    next: str | None
    events: list[EntryAnswer] | None = Field(None, description="Only with `events=true`.")


class MessageList(BaseModel):
    items: list[MessageAnswer]
    next: str | None


class WritingAnswer(BaseModel):
    seq: int
    by: Id
    at: Time
    text: str | None


class WritingList(BaseModel):
    items: list[WritingAnswer]
    next: str | None


class ReceiptAnswer(BaseModel):
    user_id: Id


class ReceiptsAnswer(BaseModel):
    """Members it was delivered to, those who have read it among them, and those who have read it."""

    delivered: list[ReceiptAnswer]
    read: list[ReceiptAnswer]


class ReadAnswer(BaseModel):
    read_seq: int
    delivered_seq: int
    unread: int
