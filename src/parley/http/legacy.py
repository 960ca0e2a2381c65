"""The older systems' HTTP routes that their clients need, in their own envelopes: always an object with a code and a
message."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from parley.dialects.kama import KAMA_LOGOUT
from parley.http.assistant import EVENT_STREAM, begun, check_question, event, memory_of, shape, whole
from parley.http.deps import CurrentClient, bearer_of, caller_is_local, the_parley
from parley.http.errors import describe, printable
from parley.protocol.commands import Actor, MarkRead
from parley.protocol.errors import ChatError, Code
from parley.protocol.events import Signal
from parley.protocol.notices import AWAY, SORRY
from parley.protocol.types import ConversationId, MessageId, UserId
from parley.services.accounts import Login, Registration
from parley.services.assistant.memory import Told
from parley.services.legacy import Legacy
from parley.services.policy import parse_id
from parley.store.interface import StoreUnavailable

AUDIENCES = ("legacy", "parley")
WORDS = {
    Code.ASSISTANT_UNAVAILABLE.name: AWAY,
    Code.ASSISTANT_BUSY.name: AWAY,
    Code.ASSISTANT_BUDGET.name: AWAY,
    Code.ASSISTANT_FAILED.name: SORRY,
}
"""What these clients know the assistant's refusals by."""


class Enveloped(APIRoute):
    """What is refused before a route is reached, such as a body that is not JSON, is said in the envelope too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                why = printable(describe(error.errors()))
            # `msg` is what the kama clients read.
            return _json({"code": 400, "msg": why, "message": why, "data": None}, 400)

        return handled


lobby = APIRouter(prefix="/api", tags=["lobby dialect"], route_class=Enveloped)
direct = APIRouter(prefix="/v1/chat", tags=["direct dialect"], route_class=Enveloped)
kama = APIRouter(tags=["kama dialect"], route_class=Enveloped)

Token = Annotated[str | None, Query(max_length=4096)]
Text = Annotated[str, Field(max_length=8000)]


class Loose(BaseModel):
    """These clients send more than they need to; what is not known is passed over."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Credentials(Loose):
    username: Text
    password: Text


class Question(Loose):
    message: Text
    user_id: Text | None = None
    conversation_id: Text | None = None
    stream: bool = False


class Read(Loose):
    conversationId: Text  # noqa: N815 - the clients' name
    msgId: Text | None = None  # noqa: N815 - the clients' name


class Owner(Loose):
    owner_id: Text


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, {"Cache-Control": "no-store"}, "application/json")


async def enveloped(work: Callable[[], Awaitable[Any]]) -> Response:
    """`{code, message, data}`, HTTP's own status beside it."""
    try:
        data = await work()
    except ChatError as error:
        return _json({"code": error.spec.http, "message": error.message, "data": None}, error.spec.http)
    return _json({"code": 200, "message": "success", "data": data})


async def legacy_actor(request: Request, token: str | None) -> Actor:
    """By a legacy or an access token, in `Authorization`, the header named `websocket` or the query."""
    given = bearer_of(request) or request.headers.get("websocket") or token
    identity = await the_parley(request).accounts.authenticate(bearer=given, audiences=AUDIENCES)
    return identity.actor


# Lobby


def _signed_in(login: Login) -> dict[str, Any]:
    user = login.user
    return {
        "token": login.access_token,
        "user_id": str(user.id),
        "username": user.username,
        "display_name": user.display_name,
        "expires_in": login.expires_in,
    }


@lobby.post("/user/register")
async def register(request: Request, body: Credentials, client: CurrentClient) -> Response:
    """Make an account; the token is good at the legacy doors and routes."""
    accounts = the_parley(request).accounts

    async def work() -> dict[str, Any]:
        asked = Registration(body.username, body.password)
        return _signed_in(await accounts.register(asked, client, kind="legacy"))

    return await enveloped(work)


@lobby.post("/user/login")
async def login(request: Request, body: Credentials, client: CurrentClient) -> Response:
    accounts = the_parley(request).accounts

    async def work() -> dict[str, Any]:
        return _signed_in(await accounts.login(body.username, body.password, client, kind="legacy"))

    return await enveloped(work)


@lobby.get("/health")
async def health() -> Response:
    return _json({"code": 200, "message": "success", "data": {"status": "ok"}})


@lobby.post("/ai/chat")
async def ai_chat(request: Request, body: Question, token: Token = None) -> Response:
    """The assistant's private chat in these clients' words, for a token or a guest on this machine."""
    try:
        actor = await _asker(request, token)
        memory = memory_of(request)
        if body.stream:
            check_question(body.message)
            parts = await begun(memory.chat(actor, body.message, body.conversation_id))
            return StreamingResponse(_told(parts), media_type="text/event-stream", headers=EVENT_STREAM)
        return _json(_success(await whole(memory, actor, body.message, body.conversation_id)))
    except ChatError as error:
        return _json(_refused(error), error.spec.http)


async def _asker(request: Request, token: str | None) -> Actor:
    if bearer_of(request) or request.headers.get("websocket") or token or not caller_is_local(request):
        return await legacy_actor(request, token)
    if the_parley(request).settings.auth.guests == "never":
        raise ChatError(Code.UNAUTHENTICATED, "Guests are not let in here.")
    return Actor(UserId(0), "", guest=True)


def _success(told: Told) -> dict[str, Any]:
    return {"code": 200, "message": "success", "data": shape(told)}


def _refused(error: ChatError) -> dict[str, Any]:
    return {"code": error.spec.http, "message": WORDS.get(error.spec.name, error.message), "data": None}


async def _told(parts: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    """Server-Sent Events: `delta` with a piece, then `done` or `error` with the envelope."""
    try:
        async for part in parts:
            yield event("done", _success(part)) if isinstance(part, Told) else event("delta", {"text": part.text})
    except ChatError as error:
        yield event("error", _refused(error))
    except StoreUnavailable:
        yield event("error", _refused(ChatError(Code.STORAGE_UNAVAILABLE)))


# Direct


@direct.post("/read")
async def read(request: Request, body: Read, token: Token = None) -> Response:
    """Read up to a message, or (without `msgId`) up to the head."""
    parley = the_parley(request)

    async def work() -> dict[str, Any]:
        actor = await legacy_actor(request, token)
        named = body.conversationId
        if named in ("", "all"):
            conversation: int | None = await parley.legacy.lobby()
        elif named.isdecimal():
            conversation = parse_id(named)
        else:
            conversation = (await parley.legacy.room(named, may_make=False)).id
        if conversation is None:
            raise ChatError(Code.UNKNOWN_CONVERSATION)
        seq = (1 << 53) - 1
        if body.msgId is not None:
            message = parse_id(body.msgId)
            if message is None:
                raise ChatError(Code.UNKNOWN_MESSAGE)
            legacy: Legacy = request.app.state.parley.legacy
            seq = await legacy.seq_of(ConversationId(conversation), MessageId(message))
        marked = await parley.dispatch.mark(actor, MarkRead(ConversationId(conversation), seq))
        parley.marked(marked)
        return {"conversationId": named, "readSeq": marked.read_seq, "unread": marked.unread}

    return await enveloped(work)


# Kama


@kama.post("/ws/logout")
@kama.post("/user/wsLogout")
async def kama_logout(
    request: Request, body: Owner, token: Token = None, websocket: Annotated[str | None, Header()] = None
) -> Response:
    """The user's kama sockets are told, and closed."""
    parley = the_parley(request)
    user = parse_id(body.owner_id.removeprefix("U")) if body.owner_id.startswith("U") else None
    given = bearer_of(request) or websocket or token
    trusted = parley.settings.compat.kama.trust_client_id and caller_is_local(request) and given is None
    try:
        if user is None:
            raise ChatError(Code.BAD_PAYLOAD, "owner_id is not of the form U<user id>.")
        if not trusted and (await legacy_actor(request, token)).user_id != user:
            raise ChatError(Code.FORBIDDEN)
    except ChatError as error:
        return _json(
            {"code": error.spec.http, "msg": error.message, "message": error.message, "data": None}, error.spec.http
        )
    parley.fanout.tell_user(UserId(user), Signal(KAMA_LOGOUT, {}))
    return _json({"code": 0, "msg": "success", "data": None})


def install(app: FastAPI, enabled: list[str], uploads: APIRouter) -> None:
    """The routes of the dialects that are on; `uploads` are the lobby's."""
    for dialect, router in (("lobby", lobby), ("lobby", uploads), ("direct", direct), ("kama", kama)):
        if dialect in enabled:
            app.include_router(router)
