"""The type of a file by its first bytes, and which types a browser may show by itself."""

HEAD = 4096
"""How many first bytes are looked at."""
UNKNOWN = "application/octet-stream"
TEXT = "text/plain"

PICTURES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp"})
AUDIO = frozenset({"audio/mpeg", "audio/ogg", "audio/wav", "audio/flac", "audio/mp4", "audio/aac", "audio/webm"})
VIDEO = frozenset({"video/mp4", "video/webm", "video/quicktime", "video/ogg"})
INLINE = PICTURES | AUDIO | VIDEO
"""Shown in place. Everything else is offered to be saved: SVG, HTML, XML and PDF can carry programs."""
INSPECTED = PICTURES | AUDIO | VIDEO
"""What `media.worker` can say more of."""

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"%PDF-", "application/pdf"),
    (b"\x1f\x8b", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"\0asm", "application/wasm"),
    (b"\x7fELF", "application/x-executable"),
    (b"{\\rtf", "application/rtf"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
)
_BRANDS = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif",
    b"qt  ": "video/quicktime", b"M4A ": "audio/mp4", b"M4B ": "audio/mp4",
}  # fmt: skip
_MARKUP = (
    (b"<svg", "image/svg+xml"), (b"<!doctype svg", "image/svg+xml"), (b"<!doctype html", "text/html"),
    (b"<html", "text/html"), (b"<head", "text/html"), (b"<body", "text/html"), (b"<script", "text/html"),
)  # fmt: skip
_OFFICE = (
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)


def type_of(head: bytes) -> str:
    """The media type of a file that begins with these bytes."""
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(head[8:12], UNKNOWN)
    if head[4:8] == b"ftyp":
        found = _BRANDS.get(head[8:12], "video/mp4")
        # Browsers record voices into this, too, and say so only by the one track in it.
        return "audio/mp4" if found == "video/mp4" and b"soun" in head and b"vide" not in head else found
    if head[:4] == b"\x1aE\xdf\xa3":
        return _matroska(head)
    if head[:4] == b"OggS":
        return "video/ogg" if b"\x80theora" in head else "audio/ogg"
    if head[:4] == b"PK\x03\x04":
        return next((name for mark, name in _OFFICE if mark in head), "application/zip")
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 64, 108, 124):
        return "image/bmp"
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:
        return "audio/mpeg"  # layer III
    return _text(head)


def _matroska(head: bytes) -> str:
    if b"webm" not in head[:64]:
        return "video/x-matroska"
    return "video/webm" if b"V_" in head else "audio/webm"


def _text(head: bytes) -> str:
    """Markup, plain text, or neither. What only looks like text is text: as that it is harmless everywhere."""
    whole = len(head) < HEAD
    try:
        # The last letter may be cut in two.
        text = head.decode("utf-8", "strict" if whole else "ignore")
    except UnicodeDecodeError:
        return UNKNOWN
    if not head or any(letter < " " and letter not in "\t\n\r\f\x1b" for letter in text):
        return UNKNOWN
    if not whole and len(text.encode()) < len(head) - 3:
        return UNKNOWN
    bare = text.lstrip("\ufeff \t\r\n").lower().encode()
    if bare.startswith((b"<?xml", b"<!--", b"<!doctype", b"<")):
        return next((name for mark, name in _MARKUP if mark in bare), "text/xml" if bare.startswith(b"<?xml") else TEXT)
    return TEXT
