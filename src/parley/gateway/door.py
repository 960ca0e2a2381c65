"""Who is at the door: the credentials of an upgrade, checked by the accounts service."""

from collections.abc import Sequence

from parley.gateway.handshake import UpgradeRequest
from parley.protocol.errors import ChatError, Code
from parley.services.accounts import Accounts, Identity
from parley.services.policy import address_key, is_loopback, origin_allowed

COOKIE = "parley_session"


class AccountDoor:
    """Lets in whoever shows a bearer token, a one-time ticket or, from an allowed origin, the page's cookie."""

    def __init__(self, accounts: Accounts, allowed_origins: Sequence[str]) -> None:
        self._accounts = accounts
        self._allowed_origins = allowed_origins

    async def identify(self, request: UpgradeRequest) -> Identity:
        origin = request.headers.get("origin")
        if not origin_allowed(origin, request.headers.get("host"), request.secure, self._allowed_origins):
            raise ChatError(Code.ORIGIN_REFUSED)
        bearer, ticket = request.bearer, request.query.get("ticket")
        cookie = request.cookie(COOKIE) if bearer is None and ticket is None else None
        if cookie is not None and origin is None:
            # A browser always says where an upgrade comes from; without it the cookie could be anybody's doing.
            raise ChatError(Code.ORIGIN_REFUSED)
        return await self._accounts.authenticate(bearer=bearer, ticket=ticket, cookie=cookie)

    def address_of(self, request: UpgradeRequest) -> str | None:
        return None if request.peer is None or is_loopback(request.peer) else address_key(request.peer)
