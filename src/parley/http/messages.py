"""Messages: read a page, write, edit, delete, mark as read, and what is known of one."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from parley.client_ids import new_client_id
from parley.clock import rfc3339
from parley.http import log, reactions
from parley.http.answers import (
    AckAnswer,
    MessagePage,
    ReadAnswer,
    ReceiptsAnswer,
    WritingList,
    ack_shape,
    listed,
    reply,
)
from parley.http.deps import Body, CurrentActor, the_parley
from parley.http.fields import AskedClientId, ClientId, Id, InConversation, OfMessage, Seq, SeqQuery
from parley.http.log import raw
from parley.http.services import TheDispatch, TheHistory
from parley.protocol.commands import DeleteMessage, EditMessage, MarkRead, SendMessage
from parley.protocol.types import MessageId, MessageKind, UserId
from parley.services.history import EDITS_LIMIT, MESSAGES_LIMIT

router = APIRouter(tags=["messages"])


class NewMessage(Body):
    """The payload of `message.send`, but for where to."""

    client_id: ClientId
    kind: Literal["text", "image", "file", "voice", "location", "sticker"] = "text"
    text: str | None = None
    reply_to: Id | None = None
    thread_of: Id | None = None
    attachments: list[Id] = Field(default=[], max_length=100, description="File ids")
    mentions: list[Id] = Field(default=[], max_length=100, description="User ids; who is no member is dropped")


class NewText(Body):
    text: str
    client_id: ClientId | None = None


class ReadPosition(Body):
    seq: Seq
    delivered_seq: Seq | None = None


@router.get("/conversations/{id}/messages", response_model=MessagePage, response_model_exclude_unset=True)
async def list_messages(
    actor: CurrentActor,
    history: TheHistory,
    conversation: InConversation,
    before: SeqQuery = None,
    after: SeqQuery = None,
    around: SeqQuery = None,
    limit: Annotated[int, Query(ge=1, le=MESSAGES_LIMIT)] = 50,
    events: Annotated[
        bool, Query(description="Also the entries about members and the conversation from the same stretch of the log")
    ] = False,
) -> Response:
    """Messages as they stand at `head`, newest last. Without a bound, the newest.

    `next` goes on in the direction asked: as `after` if that was given, else as `before`.
    """
    page = await history.messages_page(
        actor, conversation, before=before, after=after, around=around, limit=limit, events=events
    )
    answer: dict[str, object] = {
        "items": page.items,
        "epoch": page.epoch,
        "head": page.head,
        "next": None if page.next is None else str(page.next),
    }
    if page.events is not None:
        answer["events"] = raw(page.events)
    return reply(answer)


@router.post(
    "/conversations/{id}/messages", status_code=201, response_model=AckAnswer, responses={200: {"model": AckAnswer}}
)
async def send_message(
    actor: CurrentActor, dispatch: TheDispatch, conversation: InConversation, body: NewMessage
) -> Response:
    """Post a message. 200: this client_id had posted it already."""
    command = SendMessage(
        conversation,
        body.client_id,
        body.text,
        MessageKind(body.kind),
        reply_to=MessageId(int(body.reply_to)) if body.reply_to is not None else None,
        thread_of=MessageId(int(body.thread_of)) if body.thread_of is not None else None,
        attachments=tuple(map(int, body.attachments)),
        mentions=tuple(UserId(int(user)) for user in body.mentions),
    )
    ack = await dispatch.run(actor, command)
    return reply(ack_shape(ack), 200 if ack.duplicate else 201)


@router.patch("/conversations/{id}/messages/{message_id}", response_model=AckAnswer)
async def edit_message(
    actor: CurrentActor, dispatch: TheDispatch, conversation: InConversation, message: OfMessage, body: NewText
) -> Response:
    """One's own, or a moderator's."""
    command = EditMessage(conversation, body.client_id or new_client_id(), message, body.text)
    return reply(ack_shape(await dispatch.run(actor, command)))


@router.delete("/conversations/{id}/messages/{message_id}", response_model=AckAnswer)
async def delete_message(
    actor: CurrentActor,
    dispatch: TheDispatch,
    conversation: InConversation,
    message: OfMessage,
    client_id: AskedClientId,
) -> Response:
    """One's own, or a moderator's. Its place in the log stays; what it said, and every edit of it, is gone."""
    return reply(ack_shape(await dispatch.run(actor, DeleteMessage(conversation, client_id, message))))


@router.get("/conversations/{id}/messages/{message_id}/edits", response_model=WritingList)
async def list_edits(
    actor: CurrentActor,
    history: TheHistory,
    conversation: InConversation,
    message: OfMessage,
    limit: Annotated[int, Query(ge=1, le=EDITS_LIMIT)] = EDITS_LIMIT,
    after: SeqQuery = None,
) -> Response:
    """Every text it has had, the first writing first."""
    writings, following = await history.edits(actor, conversation, message, limit, after or 0)
    return listed(
        [
            {"seq": writing.seq, "by": str(writing.by), "at": rfc3339(writing.at), "text": writing.text}
            for writing in writings
        ],
        following,
    )


@router.get("/conversations/{id}/messages/{message_id}/receipts", response_model=ReceiptsAnswer)
async def get_receipts(
    actor: CurrentActor, history: TheHistory, conversation: InConversation, message: OfMessage
) -> Response:
    """Who has got it and who has read it, the writer left out; at most 200 of each."""
    receipts = await history.receipts(actor, conversation, message)
    return reply(
        {
            "delivered": [{"user_id": str(user)} for user in receipts.delivered],
            "read": [{"user_id": str(user)} for user in receipts.read],
        }
    )


@router.put("/conversations/{id}/read", response_model=ReadAnswer)
async def mark_read(
    request: Request, actor: CurrentActor, dispatch: TheDispatch, conversation: InConversation, body: ReadPosition
) -> Response:
    """Never goes back and never past the head."""
    marked = await dispatch.mark(actor, MarkRead(conversation, body.seq, body.delivered_seq))
    the_parley(request).marked(marked)
    return reply({"read_seq": marked.read_seq, "delivered_seq": marked.delivered_seq, "unread": marked.unread})


router.include_router(log.router)
router.include_router(reactions.router)
