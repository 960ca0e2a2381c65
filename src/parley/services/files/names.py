"""What clients say of their files, made harmless or refused. Pure."""

import base64
import binascii
import re
import unicodedata

import msgspec

from parley.protocol.errors import ChatError, Code
from parley.services.policy import DIRECTION_CONTROLS, parse_id

NAME_CHARS = 200
EXTENSION_CHARS = 20
WAVEFORM = 64
LONGEST_MS = 24 * 3_600_000
METADATA_BYTES = 16_384
PAIRS = 32


class Recording(msgspec.Struct, omit_defaults=True):
    """What the page that recorded a voice message says of it."""

    duration_ms: int | None = None
    waveform: list[int] | None = None


def clean_name(name: str) -> str:
    """The last part of a path, without what cannot be seen or turns text around, and not longer than 200 letters: the
    extension stays. Never empty."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    seen = "".join(
        letter
        for letter in last
        if letter not in DIRECTION_CONTROLS and unicodedata.category(letter) not in {"Cc", "Cs", "Zl", "Zp"}
    )
    seen = seen.strip().lstrip(".").strip()
    stem, dot, extension = seen.rpartition(".")
    if dot and stem and len(extension) <= EXTENSION_CHARS:
        return f"{stem[: NAME_CHARS - len(extension) - 1]}.{extension}"
    return seen[:NAME_CHARS] or "file"


def parse_metadata(header: str) -> dict[str, str]:
    """tus's `Upload-Metadata`: `key base64,key base64`. Raises bad_payload."""
    if len(header) > METADATA_BYTES or header.count(",") >= PAIRS:
        raise ChatError(Code.BAD_PAYLOAD, "Upload-Metadata: too long.")
    found: dict[str, str] = {}
    for pair in header.split(",") if header.strip() else ():
        key, _, value = pair.strip().partition(" ")
        try:
            text = base64.b64decode(value.strip(), validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            raise ChatError(Code.BAD_PAYLOAD, "Upload-Metadata: values are UTF-8 in base64.") from None
        if not key.isascii() or not key or key in found or "\0" in text:
            raise ChatError(Code.BAD_PAYLOAD, "Upload-Metadata: each key once, and no U+0000.")
        found[key] = text
    return found


def parse_conversation(text: str | None) -> int | None:
    if not text:
        return None
    number = parse_id(text)
    if number is None:
        raise ChatError(Code.UNKNOWN_CONVERSATION)
    return number


def parse_recording(metadata: dict[str, str]) -> Recording:
    """`duration_ms`, and `waveform`: at most 64 numbers 0..100 with commas between. Raises bad_payload."""
    found = Recording()
    if duration := metadata.get("duration_ms"):
        if not re.fullmatch(r"[0-9]{1,9}", duration) or int(duration) > LONGEST_MS:
            raise ChatError(Code.BAD_PAYLOAD, "duration_ms: milliseconds, at most a day, are wanted.")
        found.duration_ms = int(duration)
    if waveform := metadata.get("waveform"):
        numbers = waveform.split(",")
        if len(numbers) > WAVEFORM or not all(re.fullmatch(r"[0-9]{1,3}", n) and int(n) <= 100 for n in numbers):
            raise ChatError(Code.BAD_PAYLOAD, f"waveform: at most {WAVEFORM} numbers from 0 to 100 are wanted.")
        found.waveform = [int(number) for number in numbers]
    return found
