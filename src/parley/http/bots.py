"""Bots, and their tokens."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from parley.clock import rfc3339
from parley.http.deps import Body, CurrentActor, CurrentClient, id_or, the_parley
from parley.http.people import User, page_of, shown_user
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import SessionId, UserId
from parley.services.bots import Bots
from parley.services.policy import parse_id
from parley.store.sql.bots import BotRow

router = APIRouter(tags=["bots"])


class NewBot(Body):
    username: Annotated[str, Field(max_length=256)]
    display_name: Annotated[str, Field(max_length=256)] | None = None


class Bot(BaseModel):
    id: str
    user: User
    owner_id: str


class MadeBot(BaseModel):
    """`token` is shown this once."""

    bot: Bot
    token: str


class BotList(BaseModel):
    items: list[Bot]
    next: str | None


class Token(BaseModel):
    id: str
    created_at: str
    last_used_at: str


class NewToken(BaseModel):
    """`token` is shown this once."""

    id: str
    token: str


class TokenList(BaseModel):
    items: list[Token]
    next: None = None


def _bots(request: Request) -> Bots:
    bots: Bots = the_parley(request).bots
    return bots


TheBots = Annotated[Bots, Depends(_bots)]


def _bot(bot_id: Annotated[str, Path(max_length=32)]) -> UserId:
    return UserId(id_or(Code.UNKNOWN_USER, bot_id))


OfBot = Annotated[UserId, Depends(_bot)]


def _shown(row: BotRow) -> Bot:
    return Bot(id=str(row.user.id), user=shown_user(row.user), owner_id=str(row.owner_id))


@router.post("/bots", status_code=201)
async def create(actor: CurrentActor, bots: TheBots, client: CurrentClient, body: NewBot) -> MadeBot:
    """Make a bot. Its token goes into `Authorization: Bearer`, for HTTP and for the WebSocket."""
    made, token = await bots.create(actor, body.username, body.display_name, client)
    return MadeBot(bot=_shown(made), token=token)


@router.get("/bots")
async def listed(
    actor: CurrentActor,
    bots: TheBots,
    everybodys: Annotated[bool, Query(alias="all", description="Everybody's; for administrators")] = False,
    after: Annotated[str | None, Query(max_length=32)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> BotList:
    """One's own bots."""
    cursor = 0 if after is None else parse_id(after)
    if cursor is None:
        raise ChatError(Code.BAD_PAYLOAD, "after: a cursor as it was given is wanted.")
    found = await bots.listed(actor, cursor, limit + 1, everybodys=everybodys)
    return BotList(**page_of([_shown(row) for row in found], limit))


@router.delete("/bots/{bot_id}", status_code=204)
async def remove(actor: CurrentActor, bots: TheBots, bot: OfBot) -> None:
    """It never comes in again. What it said stays."""
    await bots.remove(actor, bot)


@router.post("/bots/{bot_id}/tokens", status_code=201)
async def issue(actor: CurrentActor, bots: TheBots, client: CurrentClient, bot: OfBot) -> NewToken:
    """One more token, so that one can be replaced without a pause."""
    token_id, token = await bots.issue(actor, bot, client)
    return NewToken(id=str(token_id), token=token)


@router.get("/bots/{bot_id}/tokens")
async def tokens(actor: CurrentActor, bots: TheBots, bot: OfBot) -> TokenList:
    rows = await bots.tokens(actor, bot)
    return TokenList(
        items=[
            Token(id=str(row.id), created_at=rfc3339(row.created_at), last_used_at=rfc3339(row.last_used_at))
            for row in rows
        ]
    )


@router.delete("/bots/{bot_id}/tokens/{token_id}", status_code=204)
async def revoke(actor: CurrentActor, bots: TheBots, bot: OfBot, token_id: Annotated[str, Path(max_length=32)]) -> None:
    """The token is good for nothing from now on, and its sockets close."""
    await bots.revoke(actor, bot, SessionId(id_or(Code.NOT_FOUND, token_id)))
