"""Sessions that ended elsewhere: asked of the store, because the message that told it may be lost, or there is nobody
who could bring it. The same question tells who is not an administrator any more.
"""

import asyncio
import random
from collections.abc import Collection, Mapping
from typing import Protocol

import msgspec
import structlog

from parley.gateway.connection import Connection
from parley.gateway.hub import Hub
from parley.protocol.errors import Close
from parley.protocol.types import SessionId
from parley.store.interface import StoreUnavailable

log = structlog.get_logger()

INTERVAL_S = 3.0
CHUNK = 500


class SessionBook(Protocol):
    async def standing_among(self, asked: Collection[SessionId]) -> Mapping[SessionId, bool]:
        """Those of them that are not over, and whether their account is an administrator's now."""


class Endings:
    """One node's. `start`, then `stop`."""

    def __init__(self, hub: Hub, sessions: SessionBook, interval_s: float = INTERVAL_S) -> None:
        self._hub = hub
        self._sessions = sessions
        self._interval = interval_s
        self._away = False
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
            self._running = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval * random.uniform(0.75, 1.0))
            try:
                await self.look()
            except StoreUnavailable as error:
                if not self._away:
                    log.warning("endings_not_seen", error=str(error))
                self._away = True
            except Exception:
                log.exception("endings_not_seen")
            else:
                self._away = False

    async def look(self) -> None:
        """One round over all sockets that came by a session. Raises StoreUnavailable."""
        by_session: dict[SessionId, list[Connection]] = {}
        for mine in self._hub.users.values():
            for connection in mine:
                if connection.session_id:
                    by_session.setdefault(SessionId(connection.session_id), []).append(connection)
        asked = list(by_session)
        for start in range(0, len(asked), CHUNK):
            part = asked[start : start + CHUNK]
            standing = await self._sessions.standing_among(part)
            for session in part:
                for connection in by_session[session]:
                    _judge(connection, standing.get(session))


def _judge(connection: Connection, admin: bool | None) -> None:
    """`admin` None: the session is over, or its account is."""
    if admin is None:
        connection.close(Close.SESSION_ENDED, "the session has ended")
    elif connection.actor.admin != admin:
        connection.actor = msgspec.structs.replace(connection.actor, admin=admin)
