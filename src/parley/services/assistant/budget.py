"""How much of the assistant a user has a day: reserved before it is asked, settled after; kept in the store, so that
neither a restart nor another node gives more."""

import msgspec
from sqlalchemy import Connection

from parley.clock import Clock
from parley.protocol.commands import Actor
from parley.protocol.types import UserId
from parley.store.interface import Database
from parley.store.sql import assistant_use as sql

DAY_MS = 86_400_000
GUESTS = UserId(0)
"""All guests together have one: a guest who comes again is somebody new."""


def purse_of(actor: Actor) -> UserId:
    return GUESTS if actor.guest else actor.user_id


class Reservation(msgspec.Struct, frozen=True):
    user: UserId
    day: int
    tokens: int


class Budget:
    """0 is no bound."""

    def __init__(self, database: Database, clock: Clock, *, requests_a_day: int, tokens_a_day: int) -> None:
        self._database = database
        self._clock = clock
        self._requests = requests_a_day
        self._tokens = tokens_a_day

    async def reserve(self, user: UserId, tokens: int) -> Reservation | None:
        """None: the day's budget does not hold it."""
        day = self._clock.now_ms() // DAY_MS

        def change(connection: Connection) -> bool:
            return sql.reserve(connection, user, day, tokens, self._requests, self._tokens)

        return Reservation(user, day, tokens) if await self._database.write(change) else None

    async def settle(self, reserved: Reservation, used: int) -> None:
        """What was reserved and not used is the user's again. After a crash it stays counted until the day ends."""
        difference = used - reserved.tokens
        if difference:
            await self._database.write(
                lambda connection: sql.settle(connection, reserved.user, reserved.day, difference)
            )

    def until_tomorrow_ms(self) -> int:
        return DAY_MS - self._clock.now_ms() % DAY_MS
