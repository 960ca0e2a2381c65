"""What a file is, by its bytes: types, measures, thumbnails, what cameras write, and what is made to break readers."""

from __future__ import annotations

import io
import struct
import wave
import zlib

import pytest
from PIL import Image
from tests.files.here import Here, Person, refusal, server

from parley.media import webm
from parley.media.metadata import Malformed, without_metadata
from parley.media.types import HEAD, type_of

SECRET = b"52.5200N 13.4050E"


def picture(kind: str, size: tuple[int, int] = (64, 32), turned: int | None = None, **more: object) -> bytes:
    """With a place in its Exif."""
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif.get_ifd(0x8825)[1] = "N"
    if turned is not None:
        exif[0x0112] = turned
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, kind, exif=exif, **more)
    return out.getvalue()


def sound(seconds: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 8000 * seconds)
    return out.getvalue()


def element(id_: int, body: bytes, *, unknown: bool = False) -> bytes:
    raw = id_.to_bytes((id_.bit_length() + 7) // 8, "big")
    return raw + (b"\x01" + b"\xff" * 7 if unknown else (1 << 56 | len(body)).to_bytes(8, "big")) + body


def recording(milliseconds: int) -> bytes:
    """As a browser's recorder writes it: segment and clusters of unknown length, and no duration."""
    clusters = b""
    for at in range(0, milliseconds + 1, 1000):
        block = element(0xA3, b"\x81" + struct.pack(">h", min(999, milliseconds - at)) + b"\x80opus")
        clusters += element(0x1F43B675, b"", unknown=True) + element(0xE7, at.to_bytes(4, "big")) + block
    head = element(0x1A45DFA3, element(0x4282, b"webm"))
    tracks = element(0x1654AE6B, element(0xAE, element(0x86, b"A_OPUS")))
    info = element(0x1549A966, element(0x2AD7B1, (1_000_000).to_bytes(3, "big")))
    return head + element(0x18538067, b"", unknown=True) + info + tracks + clusters


async def shown(here: Here, person: Person, file_id: str, kind: str = "file") -> dict[str, object]:
    lobby = await here.lobby()
    answer = await person.send(lobby, [file_id], kind=kind)
    assert answer.status_code == 201, answer.text
    return dict((await person.messages(lobby))[-1]["attachments"][0])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_picture_loses_what_the_camera_wrote_and_keeps_how_to_turn(here: Here, ann: Person, kind: str) -> None:
    content = picture(kind, turned=6)
    assert SECRET in content
    file_id = await ann.upload(content, filename="cat")
    told = await shown(here, ann, file_id, "image")
    assert (told["width"], told["height"]) == (32, 64)
    assert told["type"] == f"image/{kind.lower()}"
    stored = (await ann.http.get(f"/api/v1/files/{file_id}")).content
    assert told["size"] == len(stored)
    assert SECRET not in stored
    with Image.open(io.BytesIO(stored)) as clean, Image.open(io.BytesIO(content)) as given:
        assert clean.convert("RGB").tobytes() == given.convert("RGB").tobytes()
        assert dict(clean.getexif()) in ({0x0112: 6}, {})
        if kind == "JPEG":
            assert clean.getexif()[0x0112] == 6
    small = await ann.http.get(f"/api/v1/files/{file_id}/thumbnail")
    with Image.open(io.BytesIO(small.content)) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (32, 64))
        assert SECRET not in small.content


async def test_a_thumbnail_is_small_whatever_the_picture(here: Here, ann: Person) -> None:
    file_id = await ann.upload(picture("PNG", (3000, 1500)))
    answer = await ann.http.get(f"/api/v1/files/{file_id}/thumbnail")
    assert answer.headers["content-type"] == "image/webp"
    assert len(answer.content) < 256 * 1024
    with Image.open(io.BytesIO(answer.content)) as thumbnail:
        assert thumbnail.size == (512, 256)


def bomb_png(width: int, height: int) -> bytes:
    """A few hundred bytes that say they are a picture of that size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1_000_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


HOSTILE = {
    "a bomb": bomb_png(50_000, 50_000),
    "a very wide one": bomb_png(60_000, 1),
    "a size of nothing": bomb_png(0, 10),
    "cut short": picture("JPEG")[:60],
    "cut in its segments": b"\xff\xd8\xff\xe1\xff\xff" + b"x" * 50,
    "a PNG without end": picture("PNG")[:-20],
    "a WebP that says it is longer": picture("WEBP")[:40],
    "a GIF of nothing": b"GIF89a" + b"\0" * 20,
}


@pytest.mark.timeout(60)
async def test_what_breaks_a_reader_is_only_bytes(here: Here, ann: Person) -> None:
    """Kept whole, offered to be saved, without a thumbnail; and the next picture is one as ever."""
    for name, content in HOSTILE.items():
        file_id = await ann.upload(content, filename=f"{name}.png")
        answer = await ann.http.get(f"/api/v1/files/{file_id}")
        assert answer.content == content, name
        assert answer.headers["content-type"] == "application/octet-stream", name
        assert answer.headers["content-disposition"].startswith("attachment"), name
        assert refusal(await ann.http.get(f"/api/v1/files/{file_id}/thumbnail")) == (404, "unknown_file"), name
    told = await shown(here, ann, await ann.upload(picture("PNG")), "image")
    assert told["width"] == 64


async def test_a_recording_says_how_long_it_is_and_how_loud(here: Here, ann: Person) -> None:
    """What the page says of its length is taken only where the file does not say."""
    loud = ",".join(str(number) for number in range(64))
    one = await ann.upload(sound(2), filename="a.wav", duration_ms="77", waveform=loud)
    told = await shown(here, ann, one, "voice")
    assert (told["type"], told["duration_ms"], told["waveform"]) == ("audio/wav", 2000, list(range(64)))
    other = await ann.upload(recording(3500), filename="b.webm", duration_ms="77")
    told = await shown(here, ann, other, "voice")
    assert (told["type"], told["duration_ms"]) == ("audio/webm", 3500)
    silent = await ann.upload(b"\x1aE\xdf\xa3\x84webm", filename="c.webm", duration_ms="77")
    assert (await shown(here, ann, silent, "voice"))["duration_ms"] == 77
    assert "waveform" not in await shown(here, ann, await ann.upload(b"text", waveform="1,2"))


def test_the_length_of_a_recording() -> None:
    assert webm.duration_ms(recording(12_345)) == 12_345
    assert webm.duration_ms(recording(0)) == 0
    assert webm.duration_ms(b"") is None
    assert webm.duration_ms(b"\xff" * 100) is None
    # Cut anywhere, it ends: with what it has seen, or nothing.
    whole = recording(3000)
    for end in range(len(whole)):
        assert (webm.duration_ms(whole[:end]) or 0) <= 3000


TYPES = {
    b"": "application/octet-stream",
    b"hello": "text/plain",
    "ä".encode() * 3000: "text/plain",
    b"x" + "ä".encode() * 3000: "text/plain",
    b"\xff\xfe\0\0": "application/octet-stream",
    b"hello\0world": "application/octet-stream",
    b"  <SVG onload=1>": "image/svg+xml",
    b"<?xml version='1.0'?><!-- x --><svg>": "image/svg+xml",
    b"<!doctype html>": "text/html",
    b"PK\x03\x04": "application/zip",
    b"\0\0\0\x20ftypisom" + b"soun": "audio/mp4",
    b"\0\0\0\x20ftypisom" + b"vide soun": "video/mp4",
    b"\0\0\0\x20ftypheic": "image/heic",
    b"RIFF____WEBP": "image/webp",
    b"RIFF____XXXX": "application/octet-stream",
    b"OggS\0\2": "audio/ogg",
    b"BM" + b"\0" * 12 + b"\x28\0\0\0": "image/bmp",
    b"BM is a text": "text/plain",
    b"MZ\x90\0": "application/octet-stream",
}


def test_a_type_is_what_the_bytes_say() -> None:
    for head, wanted in TYPES.items():
        assert type_of(head[:HEAD]) == wanted, head[:40]


def test_broken_pictures_are_told_or_left_alone() -> None:
    """Whatever is cut off: another picture, or Malformed; nothing else, and no end is never reached."""
    for kind in ("JPEG", "PNG", "WEBP"):
        whole = picture(kind, turned=3)
        clean = without_metadata(whole, f"image/{kind.lower()}")
        assert without_metadata(clean, f"image/{kind.lower()}") == clean
        for end in range(8, len(whole)):
            try:
                assert SECRET not in without_metadata(whole[:end], f"image/{kind.lower()}")
            except Malformed:
                pass


async def test_pictures_stay_as_they_are_where_that_is_wanted(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with server(tmp_path_factory.mktemp("kept"), blobs={"strip_location": False}) as here:
        ann = await here.person("ann")
        content = picture("JPEG")
        assert (await ann.http.get(f"/api/v1/files/{await ann.upload(content)}")).content == content
