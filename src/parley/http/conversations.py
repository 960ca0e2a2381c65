"""Conversations: list, make, look at, change, close, enter and leave."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field, StringConstraints

from parley.client_ids import new_client_id
from parley.http import members, rooms
from parley.http.answers import AckAnswer, ConversationAnswer, ConversationList, ack_shape, listed, reply
from parley.http.deps import Body, CurrentActor
from parley.http.fields import AskedClientId, ClientId, ClientIdBody, Id, InConversation
from parley.http.services import TheConversations, TheDispatch
from parley.protocol.commands import (
    ChangeConversation,
    CloseConversation,
    JoinConversation,
    LeaveConversation,
)
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ConversationKind, JoinPolicy, UserId
from parley.services.conversations import MOST_MEMBERS_AT_ONCE
from parley.store.sql.conversations import conversation_shape

router = APIRouter(tags=["conversations"])

RoomName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class NewConversation(Body):
    """A room needs a `name`; a direct one takes `user_id` and nothing else."""

    client_id: ClientId
    kind: Literal["room", "group", "direct"]
    name: RoomName | None = None
    title: str | None = None
    member_ids: list[Id] = Field(default=[], max_length=MOST_MEMBERS_AT_ONCE)
    user_id: Id | None = None
    join_policy: Literal["open", "invite"] | None = Field(
        None, description="Of a room; open if it is left out. All others are joined by invitation."
    )


class Changes(Body):
    """What is left out stays as it is."""

    title: str | None = None
    name: RoomName | None = None
    join_policy: Literal["open", "invite"] | None = None
    client_id: ClientId | None = None


@router.get("/conversations", response_model=ConversationList)
async def list_conversations(
    actor: CurrentActor,
    conversations: TheConversations,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> Response:
    """One's own conversations, where something was said last first; the lobby among them."""
    views, following = await conversations.page(actor, limit, _cursor(after) if after is not None else None)
    return listed([conversation_shape(view) for view in views], f"{following[0]}.{following[1]}" if following else None)


def _cursor(text: str) -> tuple[int, int]:
    moment, _, id_ = text.partition(".")
    digits = moment.removeprefix("-")
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in (digits, id_)):
        raise ChatError(Code.BAD_PAYLOAD, "after: not a cursor of this list")
    return int(moment), int(id_)


@router.post(
    "/conversations", status_code=201, response_model=ConversationAnswer, responses={200: {"model": ConversationAnswer}}
)
async def create_conversation(actor: CurrentActor, conversations: TheConversations, body: NewConversation) -> Response:
    """Make one. 200: it was there, by this client_id or, a direct one, by the two users."""
    view, created = await conversations.create(
        actor,
        body.client_id,
        ConversationKind(body.kind),
        name=body.name,
        title=body.title,
        member_ids=[UserId(int(user)) for user in body.member_ids],
        user_id=UserId(int(body.user_id)) if body.user_id is not None else None,
        join_policy=JoinPolicy(body.join_policy) if body.join_policy is not None else None,
    )
    return reply(conversation_shape(view), 201 if created else 200)


@router.get("/conversations/{id}", response_model=ConversationAnswer)
async def get_conversation(
    actor: CurrentActor, conversations: TheConversations, conversation: InConversation
) -> Response:
    """A snapshot at `head` of the history `epoch`."""
    return reply(await conversations.describe(actor, conversation))


@router.patch("/conversations/{id}", response_model=AckAnswer)
async def change_conversation(
    actor: CurrentActor, dispatch: TheDispatch, conversation: InConversation, body: Changes
) -> Response:
    """Rename it or change who may join. For its owner and administrators."""
    if body.title is None and body.name is None and body.join_policy is None:
        raise ChatError(Code.BAD_PAYLOAD, "title, name, join_policy: at least one of them")
    command = ChangeConversation(
        conversation,
        body.client_id or new_client_id(),
        title=body.title,
        name=body.name,
        join_policy=JoinPolicy(body.join_policy) if body.join_policy is not None else None,
    )
    return reply(ack_shape(await dispatch.run(actor, command)))


@router.delete("/conversations/{id}", response_model=AckAnswer)
async def close_conversation(
    actor: CurrentActor, dispatch: TheDispatch, conversation: InConversation, client_id: AskedClientId
) -> Response:
    """Close it for ever. It can still be read. For its owner."""
    return reply(ack_shape(await dispatch.run(actor, CloseConversation(conversation, client_id))))


@router.post("/conversations/{id}/join", response_model=AckAnswer)
async def join_conversation(
    actor: CurrentActor, dispatch: TheDispatch, conversation: InConversation, body: ClientIdBody | None = None
) -> Response:
    """Enter an open room."""
    return reply(ack_shape(await dispatch.run(actor, JoinConversation(conversation, _client_id(body)))))


@router.post("/conversations/{id}/leave", response_model=AckAnswer)
async def leave_conversation(
    actor: CurrentActor, dispatch: TheDispatch, conversation: InConversation, body: ClientIdBody | None = None
) -> Response:
    return reply(ack_shape(await dispatch.run(actor, LeaveConversation(conversation, _client_id(body)))))


def _client_id(body: ClientIdBody | None) -> str:
    return body.client_id if body is not None and body.client_id is not None else new_client_id()


router.include_router(members.router)
router.include_router(rooms.router)
