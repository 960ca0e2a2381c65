"""Routes of people: oneself, somebody, and who begins with …"""

from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from parley.clock import rfc3339
from parley.http.deps import Body, CurrentActor, id_or, the_parley
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import UserId
from parley.services.policy import parse_id
from parley.store.sql.accounts import UserRow

router = APIRouter(tags=["people"])


class User(BaseModel):
    """An account, the same to oneself and to others."""

    id: str
    username: str
    display_name: str
    role: str
    guest: bool
    created_at: str


class UserList(BaseModel):
    items: list[User]
    next: str | None


class MeBody(Body):
    display_name: Annotated[str, Field(max_length=256)]


class HasId(Protocol):
    id: str


def shown_user(row: UserRow) -> User:
    return User(
        id=str(row.id),
        username=row.username,
        display_name=row.display_name,
        role=row.role,
        guest=row.guest,
        created_at=rfc3339(row.created_at),
    )


def page_of(items: Sequence[HasId], limit: int) -> dict[str, Any]:
    """A list's body, from one item more than asked for: that it is there says that there is a next page."""
    more = len(items) > limit
    return {"items": items[:limit], "next": items[limit - 1].id if more else None}


@router.get("/users/me")
async def me(request: Request, actor: CurrentActor) -> User:
    return shown_user(await the_parley(request).accounts.user(actor.user_id))


@router.patch("/users/me")
async def change_me(request: Request, body: MeBody, actor: CurrentActor) -> User:
    return shown_user(await the_parley(request).accounts.rename(actor, body.display_name))


@router.get("/users/{user_id}")
async def somebody(request: Request, user_id: Annotated[str, Path(max_length=32)], actor: CurrentActor) -> User:
    return shown_user(await the_parley(request).accounts.user(UserId(id_or(Code.UNKNOWN_USER, user_id))))


@router.get("/users")
async def people(
    request: Request,
    actor: CurrentActor,
    q: Annotated[str, Query(max_length=64)] = "",
    after: Annotated[str | None, Query(max_length=32)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> UserList:
    """Accounts whose user name or display name begins with `q`."""
    cursor = 0 if after is None else parse_id(after)
    if cursor is None:
        raise ChatError(Code.BAD_PAYLOAD, "after: a cursor as it was given is wanted.")
    found = await the_parley(request).accounts.find(q, cursor, limit + 1)
    return UserList(**page_of([shown_user(row) for row in found], limit))
