"""The assistant over HTTP: a private chat that it remembers, and stopping an answer in a conversation."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any, cast

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from parley.http.answers import Id, reply
from parley.http.deps import Body, CurrentActor, the_parley
from parley.http.fields import InConversation, OfMessage
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.services.assistant.memory import Memory, Told
from parley.store.interface import StoreUnavailable

router = APIRouter(tags=["assistant"])

EVENT_STREAM = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class ChatBody(Body):
    message: Annotated[str, Field(min_length=1, max_length=8000)]
    conversation_id: Annotated[str, Field(max_length=36)] | None = None
    stream: bool = False


class ChatAnswer(BaseModel):
    """`conversation_id`: a UUID of the asker's own, to go on with; it names no conversation of other people."""

    conversation_id: Id
    message: str
    finish_reason: str


def memory_of(request: Request) -> Memory:
    """Raises assistant_unavailable."""
    memory = cast(Memory | None, the_parley(request).assistant.memory)
    if memory is None:
        raise ChatError(Code.ASSISTANT_UNAVAILABLE)
    return memory


async def whole(memory: Memory, actor: Actor, message: str, conversation_id: str | None) -> Told:
    """The answer when it is complete."""
    check_question(message)
    async with contextlib.aclosing(memory.chat(actor, message, conversation_id)) as parts:
        async for part in parts:
            if isinstance(part, Told):
                return part
    raise ChatError(Code.ASSISTANT_FAILED)


def check_question(message: str) -> None:
    if not message.strip():
        raise ChatError(Code.BAD_PAYLOAD, "message must not be empty.")


def event(name: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))


async def begun(parts: AsyncGenerator[Any]) -> AsyncIterator[Any]:
    """The same, with the first one here already: what is refused before it is refused with a status of its own."""
    first = await anext(parts)

    async def rest() -> AsyncIterator[Any]:
        async with contextlib.aclosing(parts):
            yield first
            async for part in parts:
                yield part

    return rest()


@router.post("/assistant/chat", response_model=ChatAnswer)
async def chat(request: Request, actor: CurrentActor, body: ChatBody) -> Response:
    """Ask the assistant, alone. With `stream` the answer comes as Server-Sent Events: `delta {text}` as it grows, at
    the end `done` with the whole of it, or `error`."""
    memory = memory_of(request)
    if not body.stream:
        told = await whole(memory, actor, body.message, body.conversation_id)
        return reply(shape(told))
    check_question(body.message)
    parts = await begun(memory.chat(actor, body.message, body.conversation_id))
    return StreamingResponse(_events(parts), media_type="text/event-stream", headers=EVENT_STREAM)


def shape(told: Told) -> dict[str, str]:
    return {"conversation_id": told.conversation_id, "message": told.text, "finish_reason": told.finish_reason}


async def _events(parts: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    try:
        async for part in parts:
            yield event("done", shape(part)) if isinstance(part, Told) else event("delta", {"text": part.text})
    except ChatError as error:
        yield event("error", error.payload())
    except StoreUnavailable:
        yield event("error", ChatError(Code.STORAGE_UNAVAILABLE).payload())


@router.post("/conversations/{id}/messages/{message_id}/cancel", status_code=204)
async def cancel(request: Request, actor: CurrentActor, conversation: InConversation, message: OfMessage) -> None:
    """Stop an answer that grows, or take a question out of the line: whoever asked it, and administrators. What has
    ended stays as it is."""
    await the_parley(request).assistant.cancel(actor, conversation, message)
