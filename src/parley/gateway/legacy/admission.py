"""Who is at a legacy door: by a legacy or an access token, or as a guest where that is allowed."""

from collections.abc import Sequence
from typing import Literal

from parley.gateway.handshake import UpgradeRequest
from parley.protocol.errors import ChatError, Code
from parley.services.accounts import Accounts, Identity
from parley.services.policy import is_local, origin_allowed

AUDIENCES = ("legacy", "parley")


class LegacyDoor:
    """Credentials at the legacy doors."""

    def __init__(
        self,
        accounts: Accounts,
        *,
        allowed_origins: Sequence[str],
        guests: Literal["local", "everywhere", "never"],
        listeners: Sequence[str],
    ) -> None:
        self._accounts = accounts
        self._allowed_origins = allowed_origins
        self._guests = guests
        self._listeners = listeners

    def check_origin(self, request: UpgradeRequest) -> None:
        origin = request.headers.get("origin")
        if not origin_allowed(origin, request.headers.get("host"), request.secure, self._allowed_origins):
            raise ChatError(Code.ORIGIN_REFUSED)

    def token_of(self, request: UpgradeRequest) -> str | None:
        """In the order of these clients' habits: the query, the header named `websocket`, Authorization."""
        return request.query.get("token") or request.headers.get("websocket") or request.bearer

    async def identify(self, request: UpgradeRequest) -> Identity:
        """Raises unauthenticated, session_ended."""
        token = self.token_of(request)
        if not token:
            raise ChatError(Code.UNAUTHENTICATED)
        return await self._accounts.authenticate(bearer=token, audiences=AUDIENCES)

    def is_local(self, request: UpgradeRequest) -> bool:
        return is_local(
            listeners=self._listeners,
            peer=request.peer,
            host=request.headers.get("host"),
            header_names=request.headers.keys(),
        )

    def check_guest(self, request: UpgradeRequest) -> None:
        """Raises unauthenticated where guests are not let in."""
        if self._guests == "everywhere" or (self._guests == "local" and self.is_local(request)):
            return
        raise ChatError(Code.UNAUTHENTICATED, "Guests are not let in here.")
