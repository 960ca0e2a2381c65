"""Client ids: the name an actor gives to one command, so that saying it twice does it once."""

import re
import secrets
import time

CLIENT_ID_PATTERN = r"^[A-Za-z0-9_.:-]{1,64}$"
"""For schemas (JSON Schema, OpenAPI); `valid_client_id` is the same rule for code."""

_VALID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def valid_client_id(text: str) -> bool:
    """Whether the protocol allows it. What it allows needs no escaping in JSON, in URLs or in logs."""
    return _VALID.fullmatch(text) is not None


def new_client_id() -> str:
    """A UUIDv7 for a command that came without one. They grow with time, so the unique index grows at its end."""
    ms = time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF
    noise = secrets.randbits(74)
    value = (ms << 80) | (0x7 << 76) | ((noise >> 62) << 64) | (0b10 << 62) | (noise & ((1 << 62) - 1))
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
