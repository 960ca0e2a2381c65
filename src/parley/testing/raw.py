"""A bare socket for tests of the gateway: it says and expects exactly what the test does, and no more."""

from __future__ import annotations

import asyncio
import re
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from parley.testing.account import Account

PATIENCE = 5.0
"""Seconds within which anything expected must come. A bound, never a wait."""


class RawSocket:
    """An open WebSocket. `RawSocket.open(...)` connects; use it as a context, or close it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._count = 0

    @classmethod
    async def open(
        cls,
        base_url: str,
        *,
        token: str | None = None,
        path: str = "/api/v1/ws",
        headers: dict[str, str] | None = None,
        subprotocols: list[str] | None = None,
        origin: str | None = None,
    ) -> Self:
        """Connect to `path` of the server at `base_url` (`http://…`).

        Raises `websockets.exceptions.InvalidStatus` when the upgrade is refused: `.response.status_code` says how.
        """
        more = {"Authorization": f"Bearer {token}"} if token is not None else {}
        socket = await connect(
            re.sub("^http", "ws", base_url) + path,
            additional_headers=more | (headers or {}),
            subprotocols=subprotocols,  # type: ignore[arg-type]  # a NewType of str
            origin=origin,  # type: ignore[arg-type]  # a NewType of str
            compression=None,
            proxy=None,
            open_timeout=PATIENCE,
            close_timeout=1.0,
            ping_interval=None,
            max_size=16 * 1024 * 1024,
        )
        return cls(socket)

    @classmethod
    async def login(cls, account: Account) -> tuple[Self, dict[str, Any]]:
        """Connect as this user; returns the socket and the payload of its `welcome`."""
        raw = await cls.open(account.base_url, token=account.access_token)
        return raw, (await raw.expect("welcome"))["payload"]

    async def send(self, frame: Any) -> None:
        """Send as JSON. `send_raw` sends what is no JSON."""
        await self.socket.send(msgspec.json.encode(frame).decode())

    async def send_raw(self, message: str | bytes) -> None:
        await self.socket.send(message)

    async def recv(self, *, within: float = PATIENCE) -> dict[str, Any]:
        """The next frame, whatever it is."""
        async with asyncio.timeout(within):
            return msgspec.json.decode(await self.socket.recv(), type=dict[str, Any])

    async def expect(self, type_: str, *, skip: tuple[str, ...] = (), within: float = PATIENCE) -> dict[str, Any]:
        """The next frame, which must be of this type; frames of the types in `skip` may come before it."""
        async with asyncio.timeout(within):
            while (frame := await self.recv(within=within))["type"] in skip:
                pass
        assert frame["type"] == type_, f"expected {type_}, got {frame}"
        return frame

    async def ask(self, type_: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command and return its `ack` or `error` frame. Events that come first are lost: see `gather`."""
        return (await self.gather(type_, payload))[0]

    async def gather(
        self, type_: str, payload: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Send a command; returns its answer, and the events that came before it."""
        self._count += 1
        id_ = f"r{self._count}"
        await self.send({"type": type_, "id": id_, "payload": payload or {}})
        events: list[dict[str, Any]] = []
        async with asyncio.timeout(PATIENCE):
            while (frame := await self.recv()).get("id") != id_:
                events.append(frame)
        return frame, events

    async def acked(self, type_: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command that must succeed; returns the payload of its ack."""
        answer = await self.ask(type_, payload)
        assert answer["type"] == "ack", f"{type_} was answered by {answer}"
        result: dict[str, Any] = answer["payload"]
        return result

    async def refused(self, type_: str, payload: dict[str, Any] | None = None) -> str:
        """Send a command that must fail; returns the name of its error."""
        answer = await self.ask(type_, payload)
        assert answer["type"] == "error", f"{type_} was answered by {answer}"
        return str(answer["payload"]["name"])

    async def heard(self) -> list[dict[str, Any]]:
        """What has been sent to this socket up to now: everything in front of the answer to a `ping`."""
        events: list[dict[str, Any]] = []
        await self.send({"type": "ping"})
        async with asyncio.timeout(PATIENCE):
            while (frame := await self.recv())["type"] != "pong":
                events.append(frame)
        return events

    async def expect_close(self, code: int, *, within: float = PATIENCE) -> str:
        """Wait for the server to close with this code, whatever it sends before; returns the reason."""
        async with asyncio.timeout(within):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed:
                pass
        assert self.socket.close_code == code, f"expected close {code}, got {self.socket.close_code}"
        return self.socket.close_reason or ""

    async def close(self) -> None:
        await self.socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
