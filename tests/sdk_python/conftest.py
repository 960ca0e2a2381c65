"""A real server and two people on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from parley_sdk import Client, Login, StateFile

from parley.testing import Account, ServerProcess, running_server

QUICK = (0.01, 0.2)
"""Bounds of the backoff: a test waits for a reconnect, not for its manners."""


@dataclass
class Place:
    server: ServerProcess
    ann: Account
    bob: Account
    room: str

    def client(self, account: Account, *, url: str | None = None, **more: object) -> Client:
        async def token() -> str:
            return account.access_token

        options: dict[str, object] = {"token": token, "reconnect_s": QUICK, **more}
        return Client(url or self.server.url, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {"limits.messages_per_second": "100000", "limits.burst": "100000", "auth.access_minutes": "60"}
    with running_server(tmp_path_factory.mktemp("sdk") / "data", settings=settings) as server:
        yield server


@pytest.fixture
async def place(server: ServerProcess, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    name = f"r{abs(hash(request.node.nodeid)) % 10**9}"
    async with await Account.open(server.url, "ann") as ann, await Account.open(server.url, "bob") as bob:
        room = await ann.create_room(name, [bob.user_id])
        yield Place(server, ann, bob, room)


__all__ = ["QUICK", "Login", "Place", "StateFile"]
