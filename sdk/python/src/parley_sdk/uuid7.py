"""Client ids (RFC 9562, version 7): they grow with time, so the server's index of them grows at its end."""

import secrets
import time


def uuid7() -> str:
    ms = time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF
    noise = secrets.randbits(74)
    value = (ms << 80) | (0x7 << 76) | ((noise >> 62) << 64) | (0b10 << 62) | (noise & ((1 << 62) - 1))
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
