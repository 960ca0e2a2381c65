"""The HTTP side of a WebSocket's opening, as data: the request, and a refusal before the upgrade."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from parley.protocol.errors import ChatError

_encode = msgspec.json.Encoder().encode
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
"""16 bytes in base64."""


LISTS = frozenset({"sec-websocket-protocol", "x-forwarded-for"})
"""A proxy that adds a line of its own must not be outdone by the client's line before it."""


class UpgradeRequest(msgspec.Struct, frozen=True):
    """What a client asked for. Header names are lower case; of a repeated header the first counts, but lists are
    joined."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    peer: str | None
    secure: bool

    def cookie(self, name: str) -> str | None:
        """Other programs on this host may have set cookies that are none by the book: ours is found all the same."""
        for part in self.headers.get("cookie", "").split(";"):
            key, equals, value = part.partition("=")
            if equals and key.strip() == name:
                return value.strip()
        return None

    @property
    def bearer(self) -> str | None:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    @property
    def subprotocols(self) -> Sequence[str]:
        return [name.strip() for name in self.headers.get("sec-websocket-protocol", "").split(",") if name.strip()]


def parse_request(data: bytes, peer: str | None, secure: bool) -> UpgradeRequest:
    """Of a request whose head an HTTP parser has already accepted.

    Raises ValueError for one that opens no WebSocket as RFC 6455 4.2.1 has it, or whose target is no path.
    """
    head = data.partition(b"\r\n\r\n")[0].decode("latin-1")
    request_line, *lines = head.split("\r\n")
    method, target = request_line.split(" ")[:2]
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        if name in LISTS and name in headers:
            headers[name] += "," + value.strip()
        else:
            headers.setdefault(name, value.strip())
    key, version = headers.get("sec-websocket-key", ""), headers.get("sec-websocket-version")
    if method != "GET" or version != "13" or _KEY.fullmatch(key) is None:
        raise ValueError("not the opening of a WebSocket of version 13")
    parts = urlsplit(target)
    query = dict(reversed(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=50)))
    return UpgradeRequest(unquote(parts.path), query, headers, peer, secure)


def refusal(error: ChatError) -> bytes:
    """The HTTP answer to an upgrade that is not granted: RFC 9457, and the connection ends."""
    status = HTTPStatus(error.spec.http)
    body = _encode(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": error.message,
            **error.payload(),
        }
    )
    return plain_answer(status, body, "application/problem+json")


def plain_answer(status: HTTPStatus, body: bytes, content_type: str) -> bytes:
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    ).encode() + body


class AnsweredOtherwise(ChatError):
    """A refusal that some dialect's clients know in a form of its own: `answer` is the whole HTTP answer."""

    answer: bytes
