"""The HTTP application over a real store, dispatcher and services, where tests say who is calling."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import Request
from tests.services.world import World

from parley.clock import Clock
from parley.http.app import create_app
from parley.http.deps import current_actor
from parley.observability import Metrics
from parley.protocol.commands import Actor
from parley.settings import Settings
from parley.store.interface import Database, Marked

CALLER = "x-caller"
API = "http://127.0.0.1:8000/api/v1"


class TalkServer:
    """What `parley.http.deps.Parley` asks for, without accounts."""

    accounts: Any = None
    hub: Any = None
    legacy: Any = None
    uploads: Any = None
    chunked: Any = None
    files: Any = None
    webhooks: Any = None
    bots: Any = None
    assistant: Any = None
    fanout: Any = None
    draining = False

    def __init__(self, world: World) -> None:
        self.world = world
        self.settings = Settings()
        self.metrics = Metrics()
        self.clock: Clock = world.clock
        self.database: Database = world.database
        self.conversations = world.conversations
        self.history = world.history
        self.dispatch = world.dispatch
        self._callers: dict[str, Actor] = {}
        self._app = create_app(self)
        self._app.dependency_overrides[current_actor] = self._caller

    def marked(self, marked: Marked) -> None:
        """Nobody is connected who could be told."""

    def degraded(self) -> list[str]:
        return []

    def not_ready(self) -> list[str]:
        return []

    def client(self, actor: Actor | None = None) -> httpx.AsyncClient:
        """A caller who is logged in as `actor`."""
        headers = {} if actor is None else {CALLER: str(actor.user_id)}
        if actor is not None:
            self._callers[headers[CALLER]] = actor
        return httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url=API, headers=headers)

    def _caller(self, request: Request) -> Actor:
        return self._callers[request.headers[CALLER]]


@asynccontextmanager
async def talk_server(folder: Path) -> AsyncIterator[TalkServer]:
    world = await World.open(folder)
    try:
        yield TalkServer(world)
    finally:
        await world.close()


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and error name of a problem body."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["name"]
