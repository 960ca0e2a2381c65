"""Ears that do not close at once: whoever reloads a page, or comes back after a cut, costs no churn between nodes."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from parley.fanout.interface import Ears
from parley.protocol.types import ConversationId, UserId

LINGER_S = 5.0
LINGERING = 20_000
"""How many may be heard though nobody here needs them any more; past it the oldest are given up."""

K = TypeVar("K", bound=Hashable)


class _Fading(Generic[K]):
    """What is to be given up when nobody asks for it within one to two rounds."""

    def __init__(self, give_up: Callable[[K], None]) -> None:
        self._give_up = give_up
        self._older: dict[K, None] = {}
        self._newer: dict[K, None] = {}

    def __len__(self) -> int:
        return len(self._older) + len(self._newer)

    def keep(self, key: K) -> bool:
        """Whether it was about to be given up, and is not now."""
        return self._newer.pop(key, self) is None or self._older.pop(key, self) is None

    def let_go(self, key: K) -> None:
        self._older.pop(key, None)
        self._newer[key] = None
        if len(self) > LINGERING:
            oldest = next(iter(self._older or self._newer))
            self.keep(oldest)
            self._give_up(oldest)

    def turn(self) -> None:
        over, self._older, self._newer = self._older, self._newer, {}
        for key in over:
            self._give_up(key)


class Lingering:
    """`Ears` over a fan-out's, with one timer for all."""

    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self._conversations: _Fading[ConversationId] = _Fading(ears.unhear)
        self._users: _Fading[UserId] = _Fading(ears.unhear_user)
        self._timer: asyncio.TimerHandle | None = None

    def hear(self, conversation_id: ConversationId) -> None:
        if not self._conversations.keep(conversation_id):
            self._ears.hear(conversation_id)

    def unhear(self, conversation_id: ConversationId) -> None:
        self._conversations.let_go(conversation_id)
        self._arm()

    def hear_user(self, user: UserId) -> None:
        if not self._users.keep(user):
            self._ears.hear_user(user)

    def unhear_user(self, user: UserId) -> None:
        self._users.let_go(user)
        self._arm()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._turn)

    def _turn(self) -> None:
        self._timer = None
        self._conversations.turn()
        self._users.turn()
        if self._conversations or self._users:
            self._arm()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
