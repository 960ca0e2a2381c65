"""Members of a conversation: who they are, adding and removing them, their roles."""

import hashlib
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from parley.client_ids import new_client_id
from parley.clock import rfc3339
from parley.http.answers import AckAnswer, AckList, MemberList, ack_shape, listed, reply
from parley.http.deps import Body, CurrentActor
from parley.http.fields import AskedClientId, ClientId, Id, InConversation, OfUser
from parley.http.services import TheConversations, TheDispatch
from parley.protocol.commands import AddMember, ChangeRole, RemoveMember
from parley.protocol.types import Role, UserId
from parley.services.conversations import MOST_MEMBERS_AT_ONCE

router = APIRouter()


class NewMembers(Body):
    user_ids: list[Id] = Field(min_length=1, max_length=MOST_MEMBERS_AT_ONCE)
    client_id: ClientId | None = None


class NewRole(Body):
    role: Literal["owner", "admin", "member"]
    client_id: ClientId | None = None


@router.get("/conversations/{id}/members", response_model=MemberList)
async def list_members(
    actor: CurrentActor,
    conversations: TheConversations,
    conversation: InConversation,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
    after: Annotated[Id | None, Query(description="`next` of the page before")] = None,
) -> Response:
    """Members by user id."""
    members, following = await conversations.members(actor, conversation, limit, int(after or 0))
    return listed(
        [
            {"user": member.user, "role": member.role.value, "joined_at": rfc3339(member.joined_at)}
            for member in members
        ],
        following,
    )


@router.post("/conversations/{id}/members", response_model=AckList)
async def add_members(
    actor: CurrentActor, dispatch: TheDispatch, conversation: InConversation, body: NewMembers
) -> Response:
    """Add users one after another. The first refusal ends it; who was added before stays, and a repeat is harmless."""
    client_id = body.client_id or new_client_id()
    users = list(dict.fromkeys(UserId(int(user)) for user in body.user_ids))
    acks = [
        await dispatch.run(actor, AddMember(conversation, _one_of(client_id, user, len(users)), user)) for user in users
    ]
    return listed([ack_shape(ack) for ack in acks], None)


def _one_of(client_id: str, user: UserId, count: int) -> str:
    """Each addition is an entry of its own and needs a client_id of its own, the same again in every repeat."""
    if count == 1:
        return client_id
    return hashlib.blake2b(f"{client_id}:{user}".encode(), digest_size=16).hexdigest()


@router.patch("/conversations/{id}/members/{user_id}", response_model=AckAnswer)
async def change_role(
    actor: CurrentActor, dispatch: TheDispatch, conversation: InConversation, user: OfUser, body: NewRole
) -> Response:
    """`owner` hands the conversation over: the old owner becomes admin. For its owner."""
    command = ChangeRole(conversation, body.client_id or new_client_id(), user, Role(body.role))
    return reply(ack_shape(await dispatch.run(actor, command)))


@router.delete("/conversations/{id}/members/{user_id}", response_model=AckAnswer)
async def remove_member(
    actor: CurrentActor, dispatch: TheDispatch, conversation: InConversation, user: OfUser, client_id: AskedClientId
) -> Response:
    return reply(ack_shape(await dispatch.run(actor, RemoveMember(conversation, client_id, user))))
