"""Pictures without what cameras write into them: place, time, device. The pixels stay as they are, bit for bit, and so
does how the picture is to be turned. Pure: bytes in, bytes out."""

from collections.abc import Iterator

ORIENTATION = 0x0112
_UPRIGHT = 1


class Malformed(ValueError):
    """The bytes are not a picture of this type."""


def without_metadata(data: bytes, type_: str) -> bytes:
    """The same picture, cleaned; the same bytes where there is nothing to remove. Raises Malformed."""
    clean = {"image/jpeg": _jpeg, "image/png": _png, "image/webp": _webp}.get(type_)
    return data if clean is None else clean(data)


# JPEG: segments up to the picture's data


def _jpeg(data: bytes) -> bytes:
    """Of the application segments only JFIF, the colour profile and Adobe's stay; comments go."""
    kept, turned, at = [data[:2]], 0, 2
    while True:
        if at + 4 > len(data) or data[at] != 0xFF:
            raise Malformed("a JPEG's segments do not follow each other")
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0xDA:  # the picture itself: what follows its end is not part of it
            break
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at : at + 2 + length]
        if length < 2 or len(segment) < 2 + length:
            raise Malformed("a JPEG's segment is cut short")
        at += len(segment)
        if marker == 0xE1 and segment[4:10] == b"Exif\0\0":
            turned = turned or orientation(segment[10:])
        elif _stays(marker, segment):
            kept.append(segment)
    exif = [_exif_segment(turned)] if turned > _UPRIGHT else []
    end = data.rfind(b"\xff\xd9")
    tail = data[at:] if end < at else data[at : end + 2]
    return b"".join([kept[0], *exif, *kept[1:], tail])


def _stays(marker: int, segment: bytes) -> bool:
    if marker == 0xFE:  # a comment
        return False
    if 0xE0 <= marker <= 0xEF:
        body = segment[4:]
        return marker == 0xE0 or body.startswith((b"ICC_PROFILE\0", b"Adobe"))
    return True


def _exif_segment(turned: int) -> bytes:
    body = b"Exif\0\0" + _exif(turned)
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def _exif(turned: int) -> bytes:
    """An Exif block that says nothing but how to turn."""
    entry = ORIENTATION.to_bytes(2, "big") + b"\0\3\0\0\0\1" + turned.to_bytes(2, "big") + b"\0\0"
    return b"MM\0*\0\0\0\x08\0\1" + entry + b"\0\0\0\0"


def orientation(exif: bytes) -> int:
    """1..8 of an Exif block; 0 if it does not say."""
    order = {b"II": "little", b"MM": "big"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 0

    def number(at: int, size: int) -> int:
        return int.from_bytes(exif[at : at + size], order)  # type: ignore[arg-type]  # one of the two

    first = number(4, 4)
    for entry in range(first + 2, first + 2 + 12 * min(number(first, 2), 512), 12):
        if entry + 12 <= len(exif) and number(entry, 2) == ORIENTATION:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 0
    return 0


# PNG: chunks

_PNG_GONE = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME"})


def _png(data: bytes) -> bytes:
    kept, at = [data[:8]], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunk = data[at : at + 12 + length]
        if len(chunk) < 12 + length:
            raise Malformed("a PNG's chunk is cut short")
        at += len(chunk)
        if chunk[4:8] not in _PNG_GONE:
            kept.append(chunk)
        if chunk[4:8] == b"IEND":
            return b"".join(kept)
    raise Malformed("a PNG has no end")


# WebP: chunks of a RIFF


def _webp(data: bytes) -> bytes:
    kept: list[bytes] = []
    for name, chunk in _riff(data):
        if name == b"VP8X":
            # The bits that say Exif and XMP follow.
            chunk = chunk[:8] + bytes([chunk[8] & ~0x0C]) + chunk[9:]
        if name not in (b"EXIF", b"XMP "):
            kept.append(chunk)
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, end = 12, 8 + int.from_bytes(data[4:8], "little")
    if end > len(data) + 1:
        raise Malformed("a WebP is cut short")
    while at + 8 <= min(end, len(data)):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        chunk = data[at : at + 8 + length + length % 2]
        if len(chunk) < 8 + length:
            raise Malformed("a WebP's chunk is cut short")
        yield data[at : at + 4], chunk
        at += len(chunk)
