"""The seam of presence: who is online, anywhere. A hint with a time to live, never history.

Delivery: a change is told to `on_change` once, on every node, soon, in the order of the changes of one user. Where
nodes lose touch each goes by what it knows, and is put right afterwards. Who closes: the composition root.
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
        """All of them, also those never seen. What changed while it was awaited is in the answer."""

    async def start(self) -> None:
        """Before the first connection. Waits for nothing outside this process."""

    async def close(self) -> None:
        """After the last one. Bounded."""
