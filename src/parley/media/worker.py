"""A process of its own that looks into files that people sent: `python -m parley.media.worker`.

A line of JSON in, a line of JSON out, until its input ends. Whatever a picture does to it, the server only loses this
process. It takes no more memory than `MEMORY` and decodes nothing before it has seen how large it will be.
"""

import contextlib
import hashlib
import mmap
import os
import resource
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec
from PIL import Image, ImageOps
from tinytag import TinyTag

from parley.media import webm
from parley.media.metadata import Malformed, without_metadata
from parley.media.task import Found, Task
from parley.media.types import AUDIO, PICTURES, UNKNOWN, VIDEO

MEMORY = 1536 * 1024 * 1024
PIXELS = 64_000_000
"""Of all frames' first one. More is not decoded, and not shown by a browser either: the file is only a file."""
SIDE = 30_000
THUMBNAIL = 512
"""The longer side, in pixels."""
THUMBNAIL_BYTES = 256 * 1024
CLEANED_BYTES = 256 * 1024 * 1024
"""A picture larger than this is not a photograph."""


def look(task: Task) -> Found:
    if task.type in PICTURES:
        try:
            return _picture(task)
        except Exception:
            # Not a picture, too large a one, or one that breaks its reader: it is passed on as bytes alone.
            Path(task.thumbnail).unlink(missing_ok=True)
            return Found(UNKNOWN)
    if task.type in AUDIO | VIDEO:
        return Found(task.type, duration_ms=_duration(task))
    return Found(task.type)


def _picture(task: Task) -> Found:
    Image.MAX_IMAGE_PIXELS = PIXELS
    # Only these: Pillow would also run Ghostscript and read two dozen formats that nobody sends.
    formats = [task.type.partition("/")[2].upper()]
    with Image.open(task.path, formats=formats) as picture:
        width, height = picture.size
        if width * height > PIXELS or max(width, height) > SIDE or min(width, height) < 1:
            raise ValueError("too many pixels")
        found = Found(task.type, width, height)
        if task.cleaned is not None:
            _clean(task, found)
        turned = picture.getexif().get(0x0112, 1)
        if turned in (5, 6, 7, 8):
            found.width, found.height = height, width
        picture.draft("RGB", (THUMBNAIL, THUMBNAIL))
        small = ImageOps.exif_transpose(picture)
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        if small.mode not in ("RGB", "RGBA"):
            small = small.convert("RGBA" if "A" in small.getbands() or "transparency" in small.info else "RGB")
        for quality in (80, 50, 20):
            small.save(task.thumbnail, "WEBP", quality=quality, method=2, exif=b"", xmp=b"")
            found.thumbnail_size = Path(task.thumbnail).stat().st_size
            if found.thumbnail_size <= THUMBNAIL_BYTES:
                return found
    Path(task.thumbnail).unlink()
    found.thumbnail_size = 0
    return found


def _clean(task: Task, found: Found) -> None:
    source = Path(task.path)
    if source.stat().st_size > CLEANED_BYTES:
        raise ValueError("too large to be cleaned")
    data = source.read_bytes()
    try:
        clean = without_metadata(data, task.type)
    except Malformed as error:
        raise ValueError("not to be cleaned") from error
    if clean == data:
        return
    assert task.cleaned is not None
    with Path(task.cleaned).open("wb") as file:
        file.write(clean)
    found.cleaned_sha256 = hashlib.sha256(clean).hexdigest()
    found.cleaned_size = len(clean)


def _duration(task: Task) -> int | None:
    if task.type.endswith("/webm"):
        with Path(task.path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return webm.duration_ms(mapped)  # type: ignore[arg-type]  # a mapped file is sliced like bytes
    suffix = {
        "audio/mpeg": ".mp3", "audio/ogg": ".ogg", "audio/wav": ".wav", "audio/flac": ".flac", "audio/mp4": ".m4a",
        "video/mp4": ".mp4",
    }.get(task.type)  # fmt: skip
    if suffix is None:
        return None
    try:
        with Path(task.path).open("rb") as file:
            seconds = TinyTag.get(f"file{suffix}", file_obj=file, tags=False).duration
    except Exception:
        return None  # whatever its reader did not like: it has no duration then
    return round(seconds * 1000) if seconds and 0 < seconds < 10_000_000 else None


def serve(lines: BinaryIO, answers: BinaryIO) -> None:
    decode, encode = msgspec.json.Decoder(Task).decode, msgspec.json.encode
    for line in lines:
        answers.write(encode(look(decode(line))) + b"\n")
        answers.flush()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with contextlib.suppress(OSError):
        os.nice(10)  # chat goes first
    # What libraries print must not look like an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
