"""Reactions to a message, and pins: put there, taken away, and the list of pinned messages."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from parley.http.answers import AckAnswer, MessageList, ack_shape, listed, reply
from parley.http.deps import CurrentActor
from parley.http.fields import AskedClientId, InConversation, OfEmoji, OfMessage, SeqQuery
from parley.http.services import TheDispatch, TheHistory
from parley.protocol.commands import AddPin, AddReaction, RemovePin, RemoveReaction
from parley.services.history import PINS_LIMIT

router = APIRouter()

REACTION = "/conversations/{id}/messages/{message_id}/reactions/{emoji}"
PIN = "/conversations/{id}/pins/{message_id}"


@router.put(REACTION, response_model=AckAnswer)
async def add_reaction(
    actor: CurrentActor,
    dispatch: TheDispatch,
    conversation: InConversation,
    message: OfMessage,
    emoji: OfEmoji,
    client_id: AskedClientId,
) -> Response:
    """If it is there already, the seq of the entry that put it there."""
    return reply(ack_shape(await dispatch.run(actor, AddReaction(conversation, client_id, message, emoji))))


@router.delete(REACTION, response_model=AckAnswer)
async def remove_reaction(
    actor: CurrentActor,
    dispatch: TheDispatch,
    conversation: InConversation,
    message: OfMessage,
    emoji: OfEmoji,
    client_id: AskedClientId,
) -> Response:
    return reply(ack_shape(await dispatch.run(actor, RemoveReaction(conversation, client_id, message, emoji))))


@router.get("/conversations/{id}/pins", response_model=MessageList)
async def list_pins(
    actor: CurrentActor,
    history: TheHistory,
    conversation: InConversation,
    limit: Annotated[int, Query(ge=1, le=PINS_LIMIT)] = PINS_LIMIT,
    after: SeqQuery = None,
) -> Response:
    """Pinned messages, the last pinned first. `after`: `next` of the page before."""
    messages, following = await history.pins(actor, conversation, limit, after)
    return listed(messages, following)


@router.put(PIN, response_model=AckAnswer)
async def add_pin(
    actor: CurrentActor,
    dispatch: TheDispatch,
    conversation: InConversation,
    message: OfMessage,
    client_id: AskedClientId,
) -> Response:
    return reply(ack_shape(await dispatch.run(actor, AddPin(conversation, client_id, message))))


@router.delete(PIN, response_model=AckAnswer)
async def remove_pin(
    actor: CurrentActor,
    dispatch: TheDispatch,
    conversation: InConversation,
    message: OfMessage,
    client_id: AskedClientId,
) -> Response:
    return reply(ack_shape(await dispatch.run(actor, RemovePin(conversation, client_id, message))))
