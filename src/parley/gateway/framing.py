"""Server frames of RFC 6455: unmasked, unfragmented, never compressed. Made once per event and written to many
sockets as they are."""

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A


def frame(payload: bytes, kind: int = TEXT) -> bytes:
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (kind, size, payload)
    if size < 65536:
        return b"%c\x7e%b%b" % (kind, size.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (kind, size.to_bytes(8, "big"), payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """A control frame holds 125 bytes at most; the reason is cut at a character."""
    text = reason.encode()[:123].decode(errors="ignore")
    return frame(code.to_bytes(2, "big") + text.encode(), CLOSE)


PING_FRAME = frame(b"", PING)
