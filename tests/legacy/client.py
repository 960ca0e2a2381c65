"""A client of the older systems as their own code has one: a plain WebSocket library, texts in and texts out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
from tests.gateway.live import HERE, Live, Person
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from parley.testing.raw import PATIENCE


@dataclass(frozen=True)
class Account:
    """An account, a session's access token, and a token for the legacy doors."""

    id: str
    access: str
    legacy: str
    person: Person

    @property
    def name(self) -> str:
        return self.person.name


class Client:
    """One socket. Frames are read in order; nothing is waited for by time but what must come."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, frame: Any) -> None:
        """A text or bytes as they are; anything else as JSON."""
        await self.socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame, ensure_ascii=False))

    async def raw(self) -> str | bytes:
        """The next frame."""
        async with asyncio.timeout(PATIENCE):
            return await self.socket.recv()

    async def one(self) -> Any:
        """The next frame: JSON read, other text and bytes as they came."""
        return read(await self.raw())

    async def got(self, count: int) -> list[Any]:
        return [await self.one() for _ in range(count)]

    async def barrier(self) -> None:
        """When this returns, all that the server had written to this socket has arrived."""
        async with asyncio.timeout(PATIENCE):
            await (await self.socket.ping())

    async def heard(self) -> list[Any]:
        """All that has come and was not read yet."""
        await self.barrier()
        found = []
        while len(self.socket.recv_messages.frames):
            found.append(read(await self.socket.recv()))
        return found

    async def silence(self) -> None:
        """Nothing unread has come."""
        assert await self.heard() == []

    async def closed(self) -> int:
        """Wait for the server's close; returns its code. What came before it is passed over."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await self.socket.recv()
                except ConnectionClosed:
                    return self.socket.close_code or 0

    async def close(self) -> None:
        await self.socket.close()


class Refusal(AssertionError):
    """There was an HTTP answer in place of the upgrade."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body!r}")
        self.status = status
        self.body = body

    @property
    def code(self) -> str:
        """The name of the refusal."""
        return str(json.loads(self.body)["name"])


def read(frame: str | bytes) -> Any:
    if isinstance(frame, str) and frame.startswith("{"):
        try:
            return json.loads(frame)
        except ValueError:
            return frame
    return frame


class Doors:
    """The legacy doors of a running server, and accounts to come in with."""

    def __init__(self, live: Live, stack: AsyncExitStack) -> None:
        self.live = live
        self._stack = stack

    async def account(self, name: str) -> Account:
        person = await self.live.person(name)
        login = await self.live.parley.accounts.legacy_token(person.identity, HERE)
        assert login.access_token is not None
        return Account(person.id, person.token, login.access_token, person)

    async def connect(self, path: str = "/ws", headers: Mapping[str, str] | None = None, **how: Any) -> Client:
        """Connect as a plain client does. Raises Refusal."""
        url = f"ws://127.0.0.1:{self.live.port}{path}"
        how = {"max_queue": None, "ping_interval": None, "compression": None, "proxy": None, "close_timeout": 2, **how}
        try:
            socket = await connect(url, additional_headers=headers, **how)
        except InvalidStatus as refused:
            raise Refusal(refused.response.status_code, bytes(refused.response.body or b"")) from None
        self._stack.push_async_callback(socket.close)
        return Client(socket)

    async def refused(self, path: str, headers: Mapping[str, str] | None = None) -> Refusal:
        """Connect where nobody is let in."""
        try:
            await self.connect(path, headers)
        except Refusal as refusal:
            return refusal
        raise AssertionError(f"{path} let in")

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.live.url, trust_env=False) as http:
            return await http.post(path, json=body, headers=headers)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.live.url, trust_env=False) as http:
            return await http.get(path, headers=headers)


__all__ = ["Account", "Client", "Doors", "Refusal", "read"]
