"""A WebSocket client made by hand, byte by byte: it can say what no library would."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any

import msgspec

from parley.testing.raw import PATIENCE

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
UPGRADE = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


@dataclass(frozen=True)
class Answer:
    """What came back to the upgrade."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json"
        return msgspec.json.decode(self.body, type=dict[str, Any])


def made(payload: bytes, opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """A client's frame; `rsv` in 0..7."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class HandSocket:
    """A TCP connection to the server, and RFC 6455 spelled out over it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> HandSocket:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def write(self, data: bytes) -> None:
        if self.writer.transport.is_closing():
            return
        self.writer.write(data)
        # The server may have hung up on what it saw of it.
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def upgrade(
        self, headers: dict[str, str] | None = None, target: str = "/api/v1/ws", method: str = "GET"
    ) -> Answer:
        """Ask for a WebSocket. A header of None-like empty value is left out."""
        told = {name: value for name, value in (UPGRADE | (headers or {})).items() if value}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", ""]
        await self.write("\r\n".join(lines).encode("latin-1"))
        return await self.answer()

    async def answer(self) -> Answer:
        """An HTTP answer; of a refusal also its body."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(first.split()[1]), headers, body)

    async def send(self, payload: bytes | Any, opcode: int = TEXT, **how: Any) -> None:
        """A frame; what is no bytes goes as JSON."""
        data = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        await self.write(made(data, opcode, **how))

    async def frame(self) -> tuple[int, bytes]:
        """The server's next frame: opcode and payload. Raises IncompleteReadError at the end of the stream."""
        async with asyncio.timeout(PATIENCE):
            first, second = await self.reader.readexactly(2)
            assert first & 0xF0 == 0x80, "a server's frame is whole and has no extension bits"
            assert second < 0x80, "a server's frame is not masked"
            size = second
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(size)

    async def json(self) -> dict[str, Any]:
        opcode, payload = await self.frame()
        assert opcode == TEXT, (opcode, payload)
        return msgspec.json.decode(payload, type=dict[str, Any])

    async def closed(self) -> int:
        """Read to the server's close frame, answer it, and see that nothing follows. Returns its code."""
        while (came := await self.frame())[0] != CLOSE:
            pass
        code: int = struct.unpack("!H", came[1][:2])[0]
        await self.send(came[1][:2], CLOSE)
        assert await self.ended() == b"", "nothing may follow a close frame"
        return code

    async def ended(self) -> bytes:
        """The rest of the stream, which must end."""
        async with asyncio.timeout(PATIENCE + 2):
            try:
                return await self.reader.read(-1)
            except ConnectionError:
                return b""

    def reset(self) -> None:
        """Vanish as a cut line does it: RST instead of a goodbye."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
