"""The seam of presence: who is online, anywhere. A hint with a time to live, never history.

Delivery: a change is told to `on_change` at most once per change, soon, in the order of the changes of one user.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from parley.protocol.types import UserId


class Seen(msgspec.Struct, frozen=True):
    """`last_seen`: ms since 1970, when online ended; None while online or when not known."""

    online: bool
    last_seen: int | None = None


class Presence(Protocol):
    on_change: Callable[[UserId, Seen], None] | None

    def came(self, user: UserId) -> None:
        """The user's first connection on this node is there."""

    def went(self, user: UserId) -> None:
        """The user's last connection on this node is gone."""

    async def seen(self, users: Iterable[UserId]) -> Mapping[UserId, Seen]:
        """All of them, also those never seen."""
