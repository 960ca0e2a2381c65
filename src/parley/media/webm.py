"""How long a WebM recording is. Browsers' recorders write no duration, so the time of its last block is looked for."""

import struct

_SEGMENT, _CLUSTER, _GROUP, _INFO = 0x18538067, 0x1F43B675, 0xA0, 0x1549A966
_INSIDE = {_SEGMENT, _CLUSTER, _GROUP, _INFO}
_SCALE, _DURATION, _TIMECODE, _SIMPLE, _BLOCK = 0x2AD7B1, 0x4489, 0xE7, 0xA3, 0xA1
MOST_ELEMENTS = 2_000_000


def duration_ms(data: bytes) -> int | None:
    """Milliseconds; None if nothing in it tells. `data` may be a mapped file: only heads of elements are read."""
    scale, told, last = 1_000_000, None, None
    cluster = at = 0
    for _ in range(MOST_ELEMENTS):
        head = _head(data, at)
        if head is None:
            break
        id_, length, body = head
        if id_ in _INSIDE:
            at = body
            continue
        if length is None:
            break  # only what is gone into may be of unknown length
        value = bytes(data[body : body + min(length, 8)])
        if id_ == _SCALE:
            scale = int.from_bytes(value, "big") or scale
        elif id_ == _DURATION:
            told = _float(value, length)
        elif id_ == _TIMECODE:
            cluster = int.from_bytes(value, "big")
        elif id_ in (_SIMPLE, _BLOCK) and len(value) >= 4:
            last = max(last or 0, cluster + int.from_bytes(value[1:3], "big", signed=True))
        at = body + length
    ticks = told or last
    return None if ticks is None else round(ticks * scale / 1_000_000)


def _head(data: bytes, at: int) -> tuple[int, int | None, int] | None:
    """(id, length or None for unknown, where the body begins)."""
    first = data[at : at + 1]
    if not first or not first[0]:
        return None
    size = 9 - first[0].bit_length()
    id_ = int.from_bytes(data[at : at + size], "big")
    at += size
    first = data[at : at + 1]
    if not first or not first[0] or size > 4:
        return None
    size = 9 - first[0].bit_length()
    raw = data[at : at + size]
    if len(raw) < size:
        return None
    length = int.from_bytes(raw, "big") & ((1 << (7 * size)) - 1)
    return id_, None if length == (1 << (7 * size)) - 1 else length, at + size


def _float(value: bytes, length: int) -> float | None:
    if length == 4:
        found: float = struct.unpack(">f", value)[0]
    elif length == 8:
        found = struct.unpack(">d", value)[0]
    else:
        return None
    return found if 0 < found < 1e12 else None
