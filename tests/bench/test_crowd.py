"""The generator against a socket that plays the server."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from parley.bench.crowd import Crowd
from parley.bench.ears import AnswerEar, Ear
from parley.bench.wire import PING, Stream
from parley.gateway.framing import close_frame, frame

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the generator needs epoll")

FIRST = frame(b'{"type":"log","payload":{"conversation_id":"2","head":1,"more":false,"entries":[{"seq":1}]}}')
THIRD = frame(b'{"type":"log","payload":{"conversation_id":"2","head":3,"more":false,"entries":[{"seq":3}]}}')
ACK = frame(b'{"type":"ack","id":"1","payload":{"conversation_id":"2","seq":1,"duplicate":false}}')


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Three connections over loopback, (client's end, server's end)."""
    made = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(3):
            client = socket.create_connection(listener.getsockname())
            made.append((client, listener.accept()[0]))
            client.setblocking(False)
    yield made
    for pair in made:
        for sock in pair:
            sock.close()


@pytest.fixture
def crowd(pairs: list[tuple[socket.socket, socket.socket]]) -> Iterator[Crowd]:
    with Crowd([(client, Stream()) for client, _ in pairs]) as crowd:
        yield crowd


def test_counted_bytes_are_the_bytes_that_a_reader_parsed(
    crowd: Crowd, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    ear = Ear(crowd.clients[0])
    for _, server in pairs:
        server.sendall(FIRST)

    assert crowd.settle(0.1)
    assert [it.counted for it in crowd.clients] == [0, len(FIRST), len(FIRST)]
    assert (ear.entries, ear.log_bytes, ear.wrong) == (1, len(FIRST), [])


def test_a_hole_in_the_log_is_told(crowd: Crowd, pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    ear = Ear(crowd.clients[0])
    pairs[0][1].sendall(FIRST + THIRD)

    crowd.settle(0.1)
    assert ear.wrong == ["client 0: seq 3 after 1 in 2"]


def test_a_sender_hears_its_ack_among_log_frames(
    crowd: Crowd, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    acked: list[str | None] = []
    ear = AnswerEar(crowd.clients[1], on_ack=lambda _, frame: acked.append(frame.id))
    pairs[1][1].sendall(FIRST + ACK + THIRD)

    crowd.settle(0.1)
    assert (acked, ear.acks, ear.log_bytes) == (["1"], 1, len(FIRST + THIRD))


def test_pings_are_answered_and_a_close_is_noticed(
    crowd: Crowd, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    Ear(crowd.clients[2])
    server = pairs[2][1]
    server.sendall(frame(b"hi", PING) + close_frame(4001, "slow"))
    crowd.settle(0.1)
    assert server.recv(100)[0] == 0x8A

    server.close()
    crowd.settle(0.1)
    assert (crowd.closed, crowd.clients[2].code) == (1, 4001)
