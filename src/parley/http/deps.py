"""What routes ask for: the server, who is calling, where from."""

from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection

from parley.clock import Clock
from parley.observability import Metrics
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code, ErrorSpec
from parley.services.accounts import Accounts, Client, Identity
from parley.services.policy import is_local, origin_allowed, parse_id
from parley.settings import Settings
from parley.store.interface import Database

COOKIE = "parley_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Parley(Protocol):
    """What the routes need of the running server. The composition root builds it and puts it at `app.state.parley`."""

    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def database(self) -> Database: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def conversations(self) -> Any: ...
    @property
    def history(self) -> Any: ...
    @property
    def dispatch(self) -> Any: ...
    @property
    def legacy(self) -> Any: ...
    @property
    def uploads(self) -> Any: ...
    @property
    def chunked(self) -> Any: ...
    @property
    def files(self) -> Any: ...
    @property
    def marked(self) -> Any: ...
    @property
    def hub(self) -> Any: ...
    @property
    def fanout(self) -> Any: ...
    @property
    def assistant(self) -> Any: ...
    @property
    def bots(self) -> Any: ...
    @property
    def webhooks(self) -> Any: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def draining(self) -> bool: ...

    def not_ready(self) -> list[str]:
        """Why work should go to another node just now, beside draining and the store: the log's inbox is full, …"""

    def degraded(self) -> list[str]:
        """What is slower here than it should be, though work may come."""


class Body(BaseModel):
    """A JSON body: nothing that is not documented, no guessing between types."""

    model_config = ConfigDict(extra="forbid", strict=True)


def the_parley(request: HTTPConnection) -> Parley:
    return cast(Parley, request.app.state.parley)


def caller_is_local(request: HTTPConnection) -> bool:
    """Loopback listener, peer and `Host`, and no proxy in between (protocol, "Local means")."""
    server = the_parley(request).settings.server
    bound = request.scope.get("server")
    return is_local(
        listeners=[server.host, *server.listen, *([bound[0]] if bound else [])],
        peer=request.client.host if request.client else None,
        host=request.headers.get("host"),
        header_names=request.headers.keys(),
    )


def caller_address(request: HTTPConnection) -> str:
    """The peer, or what a trusted proxy said it is (uvicorn resolves that before we are called)."""
    return request.client.host if request.client else ""


def the_client(request: Request) -> Client:
    return Client(caller_address(request), request.headers.get("user-agent", ""), caller_is_local(request))


CurrentClient = Annotated[Client, Depends(the_client)]


def under_tls(request: HTTPConnection) -> bool:
    return request.url.scheme in {"https", "wss"}


def bearer_of(request: HTTPConnection) -> str | None:
    """The token of `Authorization: Bearer`; an empty one counts as given: nothing else is tried."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def check_cookie_origin(request: HTTPConnection) -> None:
    """A browser sends the cookie by itself, so whoever uses it to change something must show that our page asked."""
    if request.scope.get("method") in SAFE_METHODS:
        return
    origin = request.headers.get("origin")
    if origin is None:
        allowed = request.headers.get("sec-fetch-site") == "same-origin"
    else:
        allowed = origin_allowed(
            origin, request.headers.get("host"), under_tls(request), the_parley(request).settings.auth.allowed_origins
        )
    if not allowed:
        raise ChatError(Code.ORIGIN_REFUSED)


async def current_identity(request: Request) -> Identity:
    """The caller's live session, from the bearer token or else the cookie. Raises ChatError if there is none."""
    known: Identity | None = getattr(request.state, "identity", None)
    if known is not None:
        return known
    bearer = bearer_of(request)
    cookie = None if bearer is not None else request.cookies.get(COOKIE)
    if cookie is not None:
        check_cookie_origin(request)
    identity = await the_parley(request).accounts.authenticate(bearer=bearer, cookie=cookie)
    request.state.identity = identity
    return identity


CurrentIdentity = Annotated[Identity, Depends(current_identity)]


async def current_actor(
    identity: CurrentIdentity,
    _shown_in_openapi: Annotated[object, Depends(HTTPBearer(auto_error=False, description="An access token"))] = None,
) -> Actor:
    return identity.actor


CurrentActor = Annotated[Actor, Depends(current_actor)]


async def admin_actor(actor: CurrentActor) -> Actor:
    if not actor.admin:
        raise ChatError(Code.FORBIDDEN)
    return actor


AdminActor = Annotated[Actor, Depends(admin_actor)]


def id_or(spec: ErrorSpec, text: str) -> int:
    """An id from a path. One that cannot be an id names nothing, so it is answered as unknown."""
    number = parse_id(text)
    if number is None:
        raise ChatError(spec)
    return number
