"""How we connect: no second tries inside the library, so that what was lost is known to whom it concerns."""

import asyncio
import random
from collections.abc import Callable

from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool, Connection, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import ConnectionError as ConnectionLost

Word = bytes | str | int

CONNECT_S = 2.0
QUESTION_S = 0.5
"""For a question that somebody waits for: then it is answered without Redis."""
QUESTIONERS = 32
"""Connections for questions; more questions wait for `QUESTION_S` at most."""
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0

AWAY = (RedisError, OSError, TimeoutError, asyncio.TimeoutError)
"""What Redis not being there looks like, or it being there and refusing."""
NO_HOME = (
    AuthenticationError, AuthorizationError, BusyLoadingError, ClusterDownError, ConnectionLost, MasterDownError,
    ReadOnlyError,
)  # fmt: skip
"""Answers after which a connection is given up: another one may find Redis in a better state."""


def questions(url: str) -> Redis:
    """A client for questions that somebody waits for. It says so within about a second if there is no answer."""
    pool = BlockingConnectionPool.from_url(
        url, max_connections=QUESTIONERS, timeout=QUESTION_S, protocol=2, decode_responses=False,
        socket_timeout=QUESTION_S, socket_connect_timeout=QUESTION_S, retry=Retry(NoBackoff(), 0),
    )  # fmt: skip
    return Redis.from_pool(pool)


async def connected(url: str) -> Connection:
    """A connection for one user alone, without any time limit of its own. Raises one of AWAY."""
    pool = ConnectionPool.from_url(
        url, protocol=2, decode_responses=False, socket_timeout=None, socket_connect_timeout=CONNECT_S,
        socket_keepalive=True, retry=Retry(NoBackoff(), 0),
    )  # fmt: skip
    connection: Connection = pool.make_connection()  # type: ignore[no-untyped-call]
    try:
        async with asyncio.timeout(CONNECT_S):
            await connection.connect()  # type: ignore[no-untyped-call]
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


def packed(*words: Word) -> bytes:
    """One command in Redis's own bytes."""
    command: bytes = pack_command(words)  # type: ignore[arg-type]  # its stub means a tuple of any length
    return command


class Pauses:
    """How long to wait before the next try: twice as long each time, with jitter, so that nodes do not come back in
    step."""

    def __init__(self, rand: Callable[[], float] = random.random) -> None:
        self._rand = rand
        self._next = FIRST_PAUSE_S

    def reset(self) -> None:
        self._next = FIRST_PAUSE_S

    def next(self) -> float:
        pause = self._next
        self._next = min(LONGEST_PAUSE_S, pause * 2)
        return pause * (0.5 + self._rand() / 2)
