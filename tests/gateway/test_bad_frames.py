"""Hostile bytes on an open socket: each ends as RFC 6455 and the protocol say, and nobody else notices."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from tests.gateway.conftest import Serving
from tests.gateway.hand import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, HandSocket, made
from tests.gateway.live import Live, Person

from parley.gateway import connection
from parley.testing import RawSocket

PROTOCOL_ERROR, NOT_UTF8, FLOOD, TOO_BIG = 1002, 1007, 1008, 1009
ASK = b'{"type":"ping"}'


@pytest.fixture
async def witness(server: Live, alice: Person, bob: Person) -> AsyncIterator[RawSocket]:
    """Somebody else's socket, which must not notice anything."""
    socket = await server.connect(bob)
    yield socket
    assert {event["type"] for event in await socket.heard()} <= {"conversation.added", "log"}


@pytest.fixture
async def socket(server: Live, alice: Person, witness: RawSocket) -> HandSocket:
    return await server.hand_open(alice)


async def ponged(socket: HandSocket) -> None:
    await socket.send(ASK)
    assert await socket.json() == {"type": "pong"}


async def test_fragments_are_one_message(socket: HandSocket) -> None:
    """Control frames may come between them, and are answered at once."""
    await socket.send(b'{"type":', fin=False)
    await socket.send(b"here?", PING)
    await socket.send(b"", PONG)
    await socket.send(b"", CONTINUATION, fin=False)
    await socket.send(b'"ping"}', CONTINUATION)

    assert await socket.frame() == (PONG, b"here?")
    assert await socket.json() == {"type": "pong"}


async def test_a_character_may_be_cut_by_a_fragment(socket: HandSocket) -> None:
    """Only the whole has to be UTF-8."""
    whole = '{"type":"ping","id":"é"}'.encode()
    cut = whole.index("é".encode()) + 1
    await socket.send(whole[:cut], fin=False)
    await socket.send(whole[cut:], CONTINUATION)

    assert await socket.json() == {"type": "pong"}


async def test_bytes_may_come_one_by_one(socket: HandSocket) -> None:
    for byte in made(ASK):
        await socket.write(bytes([byte]))

    assert await socket.json() == {"type": "pong"}


async def test_many_frames_may_come_at_once(socket: HandSocket) -> None:
    await socket.write(made(ASK) * 150)

    assert [await socket.json() for _ in range(150)] == [{"type": "pong"}] * 150


OUT_OF_ORDER = {
    "a continuation of nothing": [(b"{}", CONTINUATION, True)],
    "a new message inside another": [(b"{", TEXT, False), (b"{}", TEXT, True)],
    "a binary message inside another": [(b"{", TEXT, False), (b"{}", BINARY, True)],
}


async def test_fragments_out_of_order_end_the_connection(server: Live, alice: Person, witness: RawSocket) -> None:
    for case, frames in OUT_OF_ORDER.items():
        socket = await server.hand_open(alice)
        for payload, opcode, fin in frames:
            await socket.send(payload, opcode, fin=fin)

        # Of two faults in one frame either may be named.
        assert await socket.closed() in (PROTOCOL_ERROR, 1003), case


BROKEN = {
    "unmasked": made(ASK, masked=False),
    "rsv1": made(ASK, rsv=4),
    "rsv2": made(ASK, rsv=2),
    "rsv3": made(ASK, rsv=1),
    "rsv on a ping": made(b"", PING, rsv=4),
    "rsv on a close": made(struct.pack("!H", 1000), CLOSE, rsv=4),
    "unknown opcode": made(ASK, 0x3),
    "unknown control": made(b"", 0xB),
    "fragmented ping": made(b"", PING, fin=False),
    "long ping": made(b"x" * 126, PING),
    "close of one byte": made(b"\x03", CLOSE),
    "close 1005": made(struct.pack("!H", 1005), CLOSE),
    "close 999": made(struct.pack("!H", 999), CLOSE),
    "64-bit length above 2^63": b"\x81\xff" + b"\xff" * 8 + b"mask",
}


async def test_a_frame_that_breaks_the_rules_ends_the_connection(
    server: Live, alice: Person, witness: RawSocket
) -> None:
    for case, data in BROKEN.items():
        socket = await server.hand_open(alice)
        await socket.write(data)

        assert await socket.closed() in (PROTOCOL_ERROR, TOO_BIG), case


async def test_a_broken_frame_after_a_ping_still_gets_its_code(socket: HandSocket) -> None:
    """Both come in one segment; the second must not be lost in the answer to the first."""
    await socket.write(made(b"1", PING) + made(ASK, rsv=4))

    assert await socket.closed() == PROTOCOL_ERROR


async def test_text_that_is_not_utf8_ends_the_connection(server: Live, alice: Person, witness: RawSocket) -> None:
    for bad in (b"\xff", b'{"type":"\xc0\xaf"}', b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"caf\xc3"):
        socket = await server.hand_open(alice)
        await socket.send(bad)

        assert await socket.closed() == NOT_UTF8, bad


async def test_fragments_that_are_not_utf8_end_the_connection(socket: HandSocket) -> None:
    await socket.send(b"\xc3", fin=False)
    await socket.send(b"(", CONTINUATION)

    assert await socket.closed() == NOT_UTF8


async def test_binary_frames_are_not_understood(socket: HandSocket) -> None:
    await socket.send(ASK, BINARY)

    assert await socket.closed() == 1003


async def test_a_frame_over_the_limit_ends_the_connection(socket: HandSocket) -> None:
    """Told by its header, so that nothing of it has to be kept."""
    await socket.write(made(b"x" * 65_537)[:20])

    assert await socket.closed() == TOO_BIG


async def test_a_frame_of_exactly_the_limit_is_read(socket: HandSocket) -> None:
    start = b'{"type":"ping","id":"'
    await socket.send(start + b"x" * (65_536 - len(start) - 2) + b'"}')

    assert (await socket.json())["payload"]["name"] == "bad_payload"


async def test_fragments_over_the_limit_in_all_end_the_connection(socket: HandSocket) -> None:
    await socket.send(b"x" * 40_000, fin=False)
    await socket.send(b"x" * 40_000, CONTINUATION)

    assert await socket.closed() == TOO_BIG


async def test_endless_empty_fragments_end_the_connection(socket: HandSocket) -> None:
    await socket.write(made(b"", fin=False) + made(b"", CONTINUATION, fin=False) * 1100)

    assert await socket.closed() == TOO_BIG


async def test_a_stream_of_malformed_frames_ends_the_connection(socket: HandSocket) -> None:
    """One by one they are answered; twenty in a row are nobody's mistake."""
    for _ in range(19):
        await socket.send(b"{")
        assert (await socket.json())["payload"]["name"] == "bad_payload"
    await ponged(socket)
    await socket.write(made(b"{") * 30)

    assert await socket.closed() == FLOOD


async def test_a_flood_of_pings_is_answered_at_the_rate_of_commands(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those above it get nothing, and their sender is not read for a while."""
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.2)
    async with serving(limits={"messages_per_second": 5, "burst": 10}) as server:
        socket = await server.hand_open(await server.person("alice"))
        await socket.write(made(b"", PING) * 500)
        came: list[tuple[int, bytes]] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    came.append(await socket.frame())

        assert came[:10] == [(PONG, b"")] * 10
        assert len(came) <= 15


async def test_a_goodbye_is_returned_with_its_code(socket: HandSocket) -> None:
    await socket.send(struct.pack("!H", 4321) + b"bye", CLOSE)

    assert await socket.frame() == (CLOSE, struct.pack("!H", 4321))
    assert await socket.ended() == b""


async def test_a_goodbye_without_a_code_is_an_ordinary_one(socket: HandSocket) -> None:
    await socket.send(b"", CLOSE)

    opcode, payload = await socket.frame()
    assert (opcode, payload[:2]) in [(CLOSE, b""), (CLOSE, struct.pack("!H", 1000))]
    assert await socket.ended() == b""


async def test_nothing_is_written_after_a_close(server: Live, socket: HandSocket, alice: Person, bob: Person) -> None:
    """A connection that broke the rules hears no more, though its peer has not hung up yet."""
    talk = await server.group(alice, bob)
    await ponged_past_events(socket)
    await socket.write(made(b"x" * 65_537)[:20])
    while (await socket.frame())[0] != CLOSE:
        pass

    await server.say(bob, talk)
    assert await socket.ended() == b""


async def ponged_past_events(socket: HandSocket) -> None:
    await socket.send(ASK)
    while (await socket.json())["type"] != "pong":
        pass
