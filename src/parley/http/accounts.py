"""Routes of accounts: coming in, going out, sessions, tickets, invites."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

import parley
from parley.clock import rfc3339
from parley.http.deps import (
    COOKIE,
    AdminActor,
    Body,
    CurrentActor,
    CurrentClient,
    CurrentIdentity,
    caller_is_local,
    check_cookie_origin,
    id_or,
    the_parley,
    under_tls,
)
from parley.http.people import User, page_of, shown_user
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import SessionId
from parley.services.accounts import Login, Registration
from parley.services.invites import MOST_HOURS, MOST_USES
from parley.services.policy import parse_id
from parley.store.sql.accounts import InviteRow

router = APIRouter(tags=["accounts"])

# The server decides when a session ends. The browser only has to keep the cookie for longer, at most 400 days.
COOKIE_SECONDS = 400 * 86_400

Id = Annotated[str, Path(max_length=32)]
After = Annotated[str | None, Query(max_length=32)]
Limit = Annotated[int, Query(ge=1, le=200)]
Name = Annotated[str, Field(max_length=256)]
Secret = Annotated[str, Field(max_length=1024)]


class RegisterBody(Body):
    username: Name
    password: Secret
    display_name: Name | None = None
    invite: Name | None = None
    setup_code: Name | None = None
    cookie: bool = False


class LoginBody(Body):
    username: Name
    password: Secret
    cookie: bool = False


class RefreshBody(Body):
    refresh_token: Secret


class PasswordBody(Body):
    old_password: Secret
    new_password: Secret


class InviteBody(Body):
    uses: int = Field(1, ge=1, le=MOST_USES)
    hours: int = Field(168, ge=1, le=MOST_HOURS)


class LoginAnswer(BaseModel):
    access_token: str | None
    refresh_token: str | None
    expires_in: int
    user: User


class TicketAnswer(BaseModel):
    ticket: str
    expires_in: int


class LegacyAnswer(BaseModel):
    token: str
    expires_in: int


class Invite(BaseModel):
    id: str
    uses: int
    used: int
    expires_at: str
    created_at: str


class NewInvite(Invite):
    code: str


class Session(BaseModel):
    id: str
    kind: str
    current: bool
    created_at: str
    last_used_at: str
    user_agent: str
    address: str


class InviteList(BaseModel):
    items: list[Invite]
    next: str | None


class SessionList(BaseModel):
    items: list[Session]
    next: str | None


class ConfigAnswer(BaseModel):
    registration: str
    first_account: bool
    setup_code_needed: bool
    version: str
    limits: dict[str, int]


def answer(request: Request, response: Response, login: Login) -> LoginAnswer:
    response.headers["Cache-Control"] = "no-store"
    if login.cookie is not None:
        response.set_cookie(
            COOKIE, login.cookie, COOKIE_SECONDS, path="/", secure=under_tls(request), httponly=True, samesite="lax"
        )
    return LoginAnswer(
        access_token=login.access_token,
        refresh_token=login.refresh_token,
        expires_in=login.expires_in,
        user=shown_user(login.user),
    )


def check_cookie_wish(request: Request, cookie: bool) -> None:
    """Another site must not be able to log its visitor in here under an account of its own."""
    if cookie:
        check_cookie_origin(request)


def after_id(text: str | None) -> int:
    if text is None:
        return 0
    number = parse_id(text)
    if number is None:
        raise ChatError(Code.BAD_PAYLOAD, "after: a cursor as it was given is wanted.")
    return number


@router.get("/auth/config")
async def config(request: Request) -> ConfigAnswer:
    """What the page has to know before anybody has signed in."""
    server = the_parley(request)
    first = await server.accounts.first_account()
    limits = server.settings.limits
    return ConfigAnswer(
        registration=server.settings.auth.registration,
        first_account=first,
        setup_code_needed=first and not caller_is_local(request),
        version=parley.__version__,
        limits={
            "text_chars": limits.text_chars,
            "frame_bytes": limits.frame_bytes,
            "upload_bytes": limits.upload_bytes,
        },
    )


@router.post("/auth/register", status_code=201)
async def register(request: Request, response: Response, body: RegisterBody, client: CurrentClient) -> LoginAnswer:
    """Make an account and sign in. The first one on a server is its administrator."""
    check_cookie_wish(request, body.cookie)
    asked = Registration(body.username, body.password, body.display_name, body.invite, body.setup_code)
    login = await the_parley(request).accounts.register(asked, client, "cookie" if body.cookie else "native")
    return answer(request, response, login)


@router.post("/auth/login")
async def log_in(request: Request, response: Response, body: LoginBody, client: CurrentClient) -> LoginAnswer:
    """Sign in. With `cookie` the session is put in a cookie and both tokens are null."""
    check_cookie_wish(request, body.cookie)
    server = the_parley(request)
    try:
        login = await server.accounts.login(body.username, body.password, client, "cookie" if body.cookie else "native")
    except ChatError as error:
        server.metrics.logins.labels(error.spec.name).inc()
        raise
    server.metrics.logins.labels("ok").inc()
    return answer(request, response, login)


@router.post("/auth/refresh")
async def refresh(request: Request, response: Response, body: RefreshBody) -> LoginAnswer:
    """Swap a refresh token for new tokens. One that was used before ends its session."""
    return answer(request, response, await the_parley(request).accounts.refresh(body.refresh_token))


@router.post("/auth/logout", status_code=204)
async def log_out(request: Request, identity: CurrentIdentity) -> Response:
    """End this session and its sockets."""
    await the_parley(request).accounts.logout(identity)
    response = Response(status_code=204)
    if COOKIE in request.cookies:
        response.delete_cookie(COOKIE, path="/", secure=under_tls(request), httponly=True, samesite="lax")
    return response


@router.post("/auth/password", status_code=204)
async def change_password(
    request: Request, body: PasswordBody, identity: CurrentIdentity, client: CurrentClient
) -> Response:
    """Change one's password; ends all other sessions."""
    await the_parley(request).accounts.change_password(identity, body.old_password, body.new_password, client)
    return Response(status_code=204)


@router.post("/auth/ws-ticket")
async def ws_ticket(request: Request, response: Response, identity: CurrentIdentity) -> TicketAnswer:
    """A ticket for `GET /api/v1/ws?ticket=`, good once."""
    response.headers["Cache-Control"] = "no-store"
    ticket, seconds = await the_parley(request).accounts.ws_ticket(identity)
    return TicketAnswer(ticket=ticket, expires_in=seconds)


@router.post("/auth/legacy-token")
async def legacy_token(
    request: Request, response: Response, identity: CurrentIdentity, client: CurrentClient
) -> LegacyAnswer:
    """A long-lived token that is good at the legacy doors only, and is listed among the sessions."""
    response.headers["Cache-Control"] = "no-store"
    login = await the_parley(request).accounts.legacy_token(identity, client)
    assert login.access_token is not None
    return LegacyAnswer(token=login.access_token, expires_in=login.expires_in)


@router.get("/auth/sessions")
async def sessions(request: Request, identity: CurrentIdentity, after: After = None, limit: Limit = 100) -> SessionList:
    """One's own sessions that are not over."""
    found = await the_parley(request).accounts.sessions.listed(identity.actor.user_id, after_id(after), limit + 1)
    items = [
        Session(
            id=str(it.id),
            kind=it.kind,
            current=it.id == identity.session_id,
            created_at=rfc3339(it.created_at),
            last_used_at=rfc3339(it.last_used_at),
            user_agent=it.user_agent,
            address=it.address,
        )
        for it in found
    ]
    return SessionList(**page_of(items, limit))


@router.delete("/auth/sessions/{session_id}", status_code=204)
async def end_session(request: Request, session_id: Id, actor: CurrentActor) -> Response:
    """End one of one's own sessions, this one included."""
    await the_parley(request).accounts.end_session(actor, SessionId(id_or(Code.NOT_FOUND, session_id)))
    return Response(status_code=204)


def invite_fields(row: InviteRow) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "uses": row.uses,
        "used": row.used,
        "expires_at": rfc3339(row.expires_at),
        "created_at": rfc3339(row.created_at),
    }


@router.post("/invites", status_code=201)
async def make_invite(
    request: Request, response: Response, actor: AdminActor, body: InviteBody | None = None
) -> NewInvite:
    """A code that lets somebody register. It is shown this once."""
    response.headers["Cache-Control"] = "no-store"
    asked = body or InviteBody()
    row, code = await the_parley(request).accounts.invites.make(actor, asked.uses, asked.hours)
    return NewInvite(**invite_fields(row), code=code)


@router.get("/invites")
async def invites(request: Request, actor: AdminActor, after: After = None, limit: Limit = 100) -> InviteList:
    found = await the_parley(request).accounts.invites.listed(actor, after_id(after), limit + 1)
    return InviteList(**page_of([Invite(**invite_fields(row)) for row in found], limit))


@router.delete("/invites/{invite_id}", status_code=204)
async def remove_invite(request: Request, invite_id: Id, actor: AdminActor) -> Response:
    await the_parley(request).accounts.invites.remove(actor, id_or(Code.NOT_FOUND, invite_id))
    return Response(status_code=204)
