"""The proxy breaks what it is told to break, where it is told to, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from parley.testing import ChaosProxy, Cut, Fate, acks_of_sends
from parley.testing.chaos import Frames

PATIENCE = 5.0


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def echo_port() -> AsyncIterator[int]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def talk(proxy: ChaosProxy, data: bytes, expected: int) -> bytes:
    """Send all of it, and read until `expected` bytes are there or the connection has ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(data)
            return await reader.readexactly(expected)
    except asyncio.IncompleteReadError as short:
        return short.partial
    finally:
        writer.transport.abort()


async def test_without_a_fate_everything_passes(echo_port: int) -> None:
    async with ChaosProxy("127.0.0.1", echo_port) as proxy:
        assert await talk(proxy, b"x" * 100_000, 100_000) == b"x" * 100_000


async def test_slices_arrive_whole_and_in_order(echo_port: int) -> None:
    async with ChaosProxy("127.0.0.1", echo_port, lambda _: Fate(slice_bytes=1)) as proxy:
        assert await talk(proxy, b"hello, world", 12) == b"hello, world"


async def test_a_connection_is_cut_at_the_byte(echo_port: int) -> None:
    async with ChaosProxy("127.0.0.1", echo_port, lambda _: Fate(down_bytes=7)) as proxy:
        assert await talk(proxy, b"hello, world", 12) == b"hello, "
        assert proxy.counts["close"] == 1


async def test_a_reset_is_a_reset(echo_port: int) -> None:
    async with ChaosProxy("127.0.0.1", echo_port, lambda _: Fate(up_bytes=3, cut=Cut.RESET)) as proxy:
        with pytest.raises(ConnectionResetError):
            await talk(proxy, b"hello", 5)


async def test_half_open_says_nothing(echo_port: int) -> None:
    async with ChaosProxy("127.0.0.1", echo_port, lambda _: Fate(up_bytes=2, cut=Cut.HALF_OPEN)) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.readexactly(5)
        assert not reader.at_eof()
        writer.transport.abort()


async def test_each_connection_has_its_own_fate(echo_port: int) -> None:
    async with ChaosProxy("127.0.0.1", echo_port, lambda n: Fate(down_bytes=1 if n == 0 else None)) as proxy:
        assert await talk(proxy, b"abc", 3) == b"a"
        assert await talk(proxy, b"abc", 3) == b"abc"


def text_frame(frame: object) -> bytes:
    payload = json.dumps(frame).encode()
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return b"\x81" + size + payload


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_acks_are_swallowed_however_the_bytes_are_cut(step: int) -> None:
    """The handshake, events and the ack of a resume pass; the ack of a send does not."""
    handshake = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    kept = [
        text_frame({"type": "ack", "id": "c1", "payload": {"live": {}, "reset": {}, "gone": []}}),
        text_frame({"type": "log", "payload": {"entries": ["x" * 500]}}),
        b"\x89\x02hi",
    ]
    dropped = text_frame({"type": "ack", "id": "c2", "payload": {"seq": 1}})
    stream = handshake + kept[0] + dropped + kept[1] + dropped + kept[2]
    frames = Frames(acks_of_sends)

    out = b"".join(frames.feed(stream[start : start + step]) for start in range(0, len(stream), step))

    assert (out, frames.dropped) == (handshake + b"".join(kept), 2)
