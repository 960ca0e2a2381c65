"""A server with accounts on a real SQLite file, small enough for a test: no log, no gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher

from parley.http.app import create_app
from parley.observability import Metrics
from parley.services.accounts import Accounts
from parley.services.passwords import Passwords
from parley.settings import Settings
from parley.store.migrate import upgrade
from parley.store.sqlite import reader_engine, writer_engine
from parley.store.threads import SqlDatabase
from parley.testing.clock import FakeClock

PASSWORD = "correct horse battery"
KEY = b"k" * 32


def cheap_passwords(**bounds: int) -> Passwords:
    """argon2id all the same, at a cost that tests can pay."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1), **bounds)


@dataclass
class SmallServer:
    """What `parley.http.deps.Parley` asks for, with nothing behind it but accounts."""

    settings: Settings
    clock: FakeClock
    database: SqlDatabase
    accounts: Accounts
    metrics: Metrics = field(default_factory=Metrics)
    draining: bool = False
    reasons: list[str] = field(default_factory=list)
    conversations: Any = None
    history: Any = None
    dispatch: Any = None
    hub: Any = None
    legacy: Any = None
    uploads: Any = None
    chunked: Any = None
    files: Any = None
    webhooks: Any = None
    bots: Any = None
    assistant: Any = None
    fanout: Any = None
    marked: Any = None

    def degraded(self) -> list[str]:
        return []

    def not_ready(self) -> list[str]:
        return self.reasons

    def client(self, host: str = "127.0.0.1:8000", peer: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        """A caller; by default one on this machine."""
        transport = httpx.ASGITransport(create_app(self), client=(peer, 50_000))
        return httpx.AsyncClient(transport=transport, base_url=f"http://{host}", headers=headers)

    async def account(self, username: str) -> dict[str, Any]:
        """Register, and give login's body."""
        async with self.client() as client:
            answer = await register(client, username)
            assert answer.status_code == 201, answer.text
            return dict(answer.json())


async def register(client: httpx.AsyncClient, username: str, **more: Any) -> httpx.Response:
    return await client.post("/api/v1/auth/register", json={"username": username, "password": PASSWORD, **more})


async def log_in(client: httpx.AsyncClient, username: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
    return await client.post("/api/v1/auth/login", json={"username": username, "password": password, **more})


def bearer(login: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {login['access_token']}"}


def name_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and error name of a refusal, which must be a whole problem body."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert {"type", "title", "status", "detail", "code", "name", "retryable"} <= set(body)
    assert body["status"] == answer.status_code
    return answer.status_code, body["name"]


@asynccontextmanager
async def small_server(
    folder: Path, passwords: Passwords | None = None, clock: FakeClock | None = None, **sections: Any
) -> AsyncIterator[SmallServer]:
    sections.setdefault("server", {})["data"] = str(folder)
    settings = Settings(**sections)
    clock = clock or FakeClock()
    file = folder / "parley.db"
    writer = writer_engine(file)
    upgrade(writer, now_ms=clock.now_ms())
    database = SqlDatabase(writer, reader_engine(file, 4))
    database.start()
    accounts = Accounts(settings, database, clock, KEY, passwords or cheap_passwords())
    await accounts.start()
    try:
        yield SmallServer(settings, clock, database, accounts)
    finally:
        await accounts.close()
        database.stop()
        writer.dispose()
