"""The generator's frames are what a server reads, and what it reads is what a server sends."""

from __future__ import annotations

import json

import msgspec
import pytest

from parley.bench.wire import KEY, Messages, Stream, command, decode, is_log, masked, number_of
from parley.client_ids import valid_client_id
from parley.dialects.native import NativeCodec
from parley.gateway.framing import frame
from parley.protocol.commands import SendMessage


def unmasked(data: bytes) -> bytes:
    """The payload of a client's frame, by the book: RFC 6455 5.3."""
    assert data[1] & 0x80
    start = {126: 4, 127: 10}.get(data[1] & 0x7F, 2)
    key, payload = data[start : start + 4], data[start + 4 :]
    return bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


@pytest.mark.parametrize("size", [0, 1, 3, 125, 126, 65535, 65536])
def test_masked_frames_unmask_to_their_payload(size: int) -> None:
    """Whatever the length, and so the form of the header."""
    payload = bytes(at % 251 for at in range(size))

    assert unmasked(masked(payload)) == payload
    assert KEY in masked(payload)


def test_a_message_is_what_the_protocol_asks_for() -> None:
    """The server's own codec reads a generated frame."""
    made = NativeCodec().decode(unmasked(Messages(12, 'a "quoted" text', 0x3FFFFFF).frame(77)).decode())

    assert made.ref == "00000077"
    assert isinstance(made.command, SendMessage)
    assert (made.command.conversation_id, made.command.text) == (12, 'a "quoted" text')
    assert number_of(made.command.client_id) == 77


def test_client_ids_are_uuids_of_version_7_and_grow() -> None:
    """Time-ordered keys stay in the last page of their index, as those of the SDKs do."""
    messages = Messages(1, "x", 5)
    ids = [json.loads(unmasked(messages.frame(number)))["payload"]["client_id"] for number in range(1, 500)]

    assert all(valid_client_id(it) and it[14] == "7" and it[19] in "89ab" and len(it) == 36 for it in ids)
    assert ids == sorted(set(ids))


def test_all_messages_are_of_one_length() -> None:
    messages = Messages(3, "x" * 128, 9)

    assert len({len(messages.frame(number)) for number in (1, 99, 12_345_678)}) == 1


def test_a_stream_is_cut_the_same_wherever_its_pieces_end() -> None:
    """TCP keeps no boundaries."""
    sent = [b"", b"a" * 125, b"b" * 126, b"c" * 70_000, b"d"]
    whole = b"".join(map(frame, sent))

    for piece in (1, 2, 3, 7, 1000, len(whole)):
        stream = Stream()
        heard = [it for at in range(0, len(whole), piece) for it in stream.feed(whole[at : at + piece])]
        assert [payload for _, payload, _ in heard] == sent
        assert sum(size for _, _, size in heard) == len(whole)
        assert stream.rest == 0


def test_log_frames_are_known_by_their_beginning() -> None:
    """Another is decoded to know: a codec that turns its fields around costs time and not truth."""
    usual, turned = b'{"type":"log","payload":{"entries":[]}}', b'{"payload":{"entries":[]},"type":"log"}'

    assert [is_log(usual), is_log(turned)] == [True, False]
    assert decode(usual) == decode(turned)


def test_commands_carry_their_payload() -> None:
    assert msgspec.json.decode(unmasked(command("resume", "open", {"epoch": "e", "cursors": {}}))) == {
        "type": "resume",
        "id": "open",
        "payload": {"epoch": "e", "cursors": {}},
    }
