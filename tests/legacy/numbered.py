"""What tests of the direct and the kama dialect share: their doors, their frames, and a client that is made by hand so
that a test decides which pings it answers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.gateway.hand import CLOSE, PING, PONG, TEXT, HandSocket
from tests.legacy.client import Account, Client, Doors

from parley.dialects.kama import WELCOME
from parley.protocol.types import UserId


async def direct(doors: Doors, who: Account) -> Client:
    """A direct client that hears already."""
    client = await doors.connect(f"/ws?token={who.legacy}")
    await ready(client)
    return client


async def kama(doors: Doors, who: Account) -> Client:
    """A kama client that has read its welcome and hears already."""
    client = await doors.connect(f"/ws?client_id=U{who.id}&token={who.legacy}")
    assert await client.raw() == WELCOME
    await ready(client)
    return client


async def ready(client: Client) -> None:
    """Its first frame waits for the greeting to be over, so an answer to it proves that."""
    await client.send("{")
    await client.one()


def private(to: Account | str, content: str = "hi", **more: Any) -> dict[str, Any]:
    """A direct client's frame for a user."""
    receiver = to if isinstance(to, str) else to.id
    return {
        "conversationId": "", "recvId": receiver, "sendId": "", "chatType": 2, "content": content, "contentType": 1,
    } | more  # fmt: skip


def grouped(conversation: str, content: str = "hi", **more: Any) -> dict[str, Any]:
    """A direct client's frame for a group."""
    return private("", content) | {"conversationId": conversation, "chatType": 1} | more


def said(sender: Account, to: str, content: str = "hi", **more: Any) -> dict[str, Any]:
    """A kama client's frame; `to` is `U…` or `G…`."""
    return {
        "session_id": "s", "type": 1, "content": content, "url": "", "send_id": f"U{sender.id}",
        "send_name": sender.name, "send_avatar": "", "receive_id": to, "file_size": "", "file_name": "",
        "file_type": "", "av_data": "",
    } | more  # fmt: skip


def call(sender: Account, to: Account, kind: str, message_id: str = "PROXY", **more: Any) -> dict[str, Any]:
    """A kama client's frame of a call."""
    data = {"messageId": message_id, "type": kind} if kind else {"messageId": message_id}
    return said(sender, f"U{to.id}", "", type=3, av_data=json.dumps(data | more))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Careful:
    """A client by hand: it answers a ping only when the test says so."""

    def __init__(self, socket: HandSocket, doors: Doors, user: UserId, dialect: str) -> None:
        self.socket = socket
        self._doors, self._user, self._dialect = doors, user, dialect

    @classmethod
    async def direct(cls, doors: Doors, who: Account) -> Careful:
        return await cls._open(doors, who, f"/ws?token={who.legacy}", "direct")

    @classmethod
    async def kama(cls, doors: Doors, who: Account) -> Careful:
        self = await cls._open(doors, who, f"/ws?client_id=U{who.id}&token={who.legacy}", "kama")
        assert await self.socket.frame() == (TEXT, WELCOME.encode())
        return self

    @classmethod
    async def _open(cls, doors: Doors, who: Account, target: str, dialect: str) -> Careful:
        socket = await doors.live.hand()
        answer = await socket.upgrade(target=target)
        assert answer.status == 101, answer
        return cls(socket, doors, who.person.actor.user_id, dialect)

    async def until_ping(self) -> tuple[list[str], bytes]:
        """The `content` of every frame in front of the next ping, and the ping's payload."""
        contents: list[str] = []
        while True:
            opcode, payload = await self.socket.frame()
            if opcode == PING:
                return contents, payload
            assert opcode == TEXT
            contents.append(json.loads(payload)["content"])

    async def pong(self, payload: bytes) -> None:
        """Answer a ping, and wait until the server has noted what it proves."""
        await self.socket.send(payload, PONG)
        # A later frame's answer: the pong is read.
        await self.socket.send(b"", PING)
        while (await self.socket.frame())[0] != PONG:
            pass
        (state,) = self._mine()
        await asyncio.gather(*state.legacy.away._tasks)

    def _mine(self) -> list[Any]:
        here = self._doors.live.parley.hub.connections_of(self._user)
        return [c for c in here if c.codec.name == self._dialect and not c.closing]

    async def close(self) -> None:
        await self.socket.send(b"\x03\xe8", CLOSE)
        await self.socket.ended()

    async def cut(self) -> None:
        """The cable."""
        self.socket.writer.transport.abort()
