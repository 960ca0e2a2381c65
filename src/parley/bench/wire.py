"""Frames of the load generator: masked ones made by filling a template, the server's cut from a byte stream.

Nothing here waits or touches a socket.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
KEY = b"\x37\xfa\x21\x3d"
"""One masking key for all: it protects proxies on the way, and here is none. Not zero, so the server has to unmask."""


def masked(payload: bytes, kind: int = TEXT) -> bytes:
    """A client's frame."""
    return _header(len(payload), kind) + xor(payload, 0)


def xor(data: bytes, offset: int) -> bytes:
    """`data` masked as the part of a payload that begins at `offset`."""
    pad = _pad(len(data), offset)
    return (int.from_bytes(data, "big") ^ pad).to_bytes(len(data), "big")


def _pad(size: int, offset: int) -> int:
    turn = offset % 4
    key = KEY[turn:] + KEY[:turn]
    return int.from_bytes((key * (size // 4 + 1))[:size], "big")


def _header(size: int, kind: int) -> bytes:
    if size < 126:
        return bytes((kind, 0x80 | size)) + KEY
    if size < 65536:
        return bytes((kind, 0x80 | 126)) + size.to_bytes(2, "big") + KEY
    return bytes((kind, 0x80 | 127)) + size.to_bytes(8, "big") + KEY


def command(type_: str, id_: str, payload: dict[str, Any]) -> bytes:
    """Any command as a client's frame."""
    return masked(msgspec.json.encode({"type": type_, "id": id_, "payload": payload}))


class Messages:
    """Makes `message.send` frames for one conversation, all of one length: only the varying middle is masked anew."""

    def __init__(self, conversation_id: int, text: str, salt: int) -> None:
        """`salt` (26 bits) tells runs apart, so that no client_id comes twice."""
        head = b'{"type":"message.send","id":"'
        tail = b'","conversation_id":"%d","kind":"text","text":%b}}' % (conversation_id, msgspec.json.encode(text))
        self._middle = b'%%08d","payload":{"client_id":"%%08x-%%04x-7%03x-%04x-%%012x' % (
            salt >> 14,
            0x8000 | salt & 0x3FFF,
        )
        self._size = size = 8 + len(b'","payload":{"client_id":"') + 36
        self._pad = _pad(size, len(head))
        self._head = _header(len(head) + size + len(tail), TEXT) + xor(head, 0)
        self._tail = xor(tail, len(head) + size)

    def frame(self, number: int) -> bytes:
        """The message with this number: its `id` in eight digits, and the end of its client_id, a UUIDv7, in hex."""
        ms = time.time_ns() // 1_000_000
        middle = self._middle % (number, ms >> 16, ms & 0xFFFF, number)
        return self._head + (int.from_bytes(middle, "big") ^ self._pad).to_bytes(self._size, "big") + self._tail


def number_of(client_id: str) -> int:
    """Which message of `Messages` it was."""
    return int(client_id[24:], 16)


class Stream:
    """What a server sends, cut into frames. Takes any pieces; server frames are never masked or fragmented here."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes, int]]:
        """(first byte, payload, bytes on the wire) of every frame that is whole."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                start = at + 4
                size = int.from_bytes(data[at + 2 : start], "big") if start <= end else end
            elif size == 127:
                start = at + 10
                size = int.from_bytes(data[at + 2 : start], "big") if start <= end else end
            if start + size > end:
                break
            self._rest = b""
            yield data[at], data[start : start + size], start + size - at
            at = start + size
        self._rest = data[at:]

    @property
    def rest(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._rest)


class Entry(msgspec.Struct, gc=False):
    seq: int
    client_id: str | None = None


class Payload(msgspec.Struct, gc=False):
    """What is looked at of any server frame."""

    conversation_id: str = ""
    seq: int = 0
    duplicate: bool = False
    entries: list[Entry] = []
    epoch: str = ""
    name: str = ""
    retry_after_ms: int | None = None


class Frame(msgspec.Struct, gc=False):
    type: str
    id: str | None = None
    payload: Payload = msgspec.field(default_factory=Payload)


decode = msgspec.json.Decoder(Frame).decode


def is_log(payload: bytes) -> bool:
    """Whether it is certainly a log frame; False means that it has to be decoded to know."""
    return payload.startswith(b'{"type":"log"')
