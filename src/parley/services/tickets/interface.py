"""One-time tickets: how a browser opens a WebSocket without a long-lived token in the address."""

import hashlib
import secrets
from typing import Protocol

from parley.protocol.errors import ChatError, Code
from parley.protocol.types import SessionId

SECONDS = 30
"""How long a ticket is good."""
AT_ONCE = 20_000
"""Tickets that wait to be used on the whole server; the next one is `busy`."""
A_SESSION = 20
"""Of one session; the next one takes the place of its oldest."""


class Tickets(Protocol):
    """Each is good once, for thirty seconds, for the session it was given to, on every node. Whoever redeems at the
    same moment: exactly one wins."""

    async def issue(self, session_id: SessionId) -> str:
        """A new one. Raises busy."""

    async def redeem(self, ticket: str) -> SessionId:
        """The session it was issued to; from now on it is worth nothing. Raises unauthenticated."""


def new_ticket() -> str:
    return secrets.token_urlsafe(24)


def name_of(ticket: str) -> bytes:
    """Kept and looked up by hash, so that the time of a look-up tells nothing about a ticket, nor does a copy of where
    they are kept."""
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).digest()


def not_valid() -> ChatError:
    return ChatError(Code.UNAUTHENTICATED, "The ticket is not valid.")


def too_many() -> ChatError:
    return ChatError(Code.BUSY, retry_after_ms=SECONDS * 1000)
