"""A connection's way out, with a wire that does as it is told."""

import asyncio

import pytest
from tests.gateway.resume_lab import RecordingWire

from parley.dialects.native import NativeCodec
from parley.gateway import connection as module
from parley.gateway.connection import Connection, Outbound
from parley.gateway.framing import close_frame, frame
from parley.protocol.commands import Actor
from parley.protocol.types import UserId


class DrainingWire(RecordingWire):
    """Its buffer becomes a byte less with each look."""

    left = 5

    def get_write_buffer_size(self) -> int:
        self.left -= 1
        return self.left


def made(wire: RecordingWire, frames: int = 10, size: int = 1000) -> Connection:
    return Connection("c", Actor(UserId(1), "alice"), 1, NativeCodec(), wire, Outbound(frames, size))


async def turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_what_is_pushed_in_a_turn_is_one_write() -> None:
    wire = RecordingWire()
    connection = made(wire)
    for word in (b"a", b"b", None, b"c"):
        connection.push(word)
    assert wire.written == b""
    await turn()

    assert wire.written == b"abc"


async def test_a_slow_reader_with_progress_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page may take longer than the patience, if a little of it goes out meanwhile."""
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.01)
    connection = made(DrainingWire())
    connection.pause_writing()
    draining = asyncio.create_task(connection.drained())
    await asyncio.sleep(0.05)
    connection.resume_writing()

    assert await draining is True
    assert not connection.closing


async def test_a_reader_without_progress_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.01)
    wire = RecordingWire()
    connection = made(wire)
    connection.pause_writing()

    assert await connection.drained() is False
    assert wire.written == close_frame(4001, "no progress: resume to catch up")
    connection.lost()


async def test_all_who_wait_for_a_socket_go_on_with_it() -> None:
    connection = made(RecordingWire())
    connection.pause_writing()
    waiting = [asyncio.create_task(connection.drained()) for _ in range(3)]
    await turn()
    waiting[0].cancel()
    await turn()
    connection.resume_writing()

    assert await asyncio.gather(*waiting[1:]) == [True, True]


@pytest.mark.parametrize(("frames", "size"), [(3, 10_000), (100, 30)], ids=["frames", "bytes"])
async def test_a_queue_has_a_bound(frames: int, size: int) -> None:
    """One more closes it; what waited is dropped, and the goodbye is all that is still written."""
    wire = RecordingWire()
    connection = made(wire, frames, size)
    connection.pause_writing()
    for _ in range(3):
        connection.push(b"x" * 10)
        await turn()
    assert not connection.closing
    connection.push(b"x" * 10)
    await turn()

    assert (connection.queue, connection.outbound.closed_slow) == (None, 1)
    assert wire.written[:1] == b"\x88"
    connection.lost()


async def test_what_waited_goes_out_in_order() -> None:
    wire = RecordingWire()
    connection = made(wire)
    connection.push(b"1")
    await turn()
    connection.pause_writing()
    connection.push(b"2")
    await turn()
    connection.push(b"3")
    connection.resume_writing()
    connection.push(b"4")
    await turn()

    assert wire.written == b"1234"


async def test_the_last_words_come_before_the_goodbye_and_nothing_after() -> None:
    wire = RecordingWire()
    connection = made(wire)
    connection.push(b"last")
    connection.close(4003, "draining")
    connection.push(b"more")
    connection.close(4500)
    await turn()

    assert wire.written == b"last" + close_frame(4003, "draining")
    connection.lost()


async def test_a_reason_is_cut_at_a_character() -> None:
    """A control frame holds 125 bytes."""
    whole = close_frame(4000, "é" * 100)

    assert len(whole) == 2 + 2 + 122
    assert whole[4:].decode() == "é" * 61


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_lengths_are_written_as_short_as_they_can_be(size: int) -> None:
    head = {0: 2, 125: 2, 126: 4, 65_535: 4, 65_536: 10}[size]

    assert len(frame(b"x" * size)) == head + size
