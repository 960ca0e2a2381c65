"""Files as others see them: progress while they come, links in older clients' frames, and their own chunked uploads."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import msgspec
import pytest
from tests.dialects.test_lobby import LOBBY
from tests.files.here import Here, Person, refusal

from parley.dialects.direct import DirectCodec
from parley.dialects.kama import KamaCodec
from parley.dialects.lobby import LobbyCodec
from parley.dialects.native import NativeCodec
from parley.dialects.room import RoomCodec
from parley.protocol import bodies
from parley.protocol.events import About, Entry, Signal
from parley.protocol.types import ConversationId, EntryKind, MessageId, UserId

CAT = {"id": "9", "name": "cat.png", "size": 5, "type": "image/png", "width": 1, "height": 1}
TEXT = {"id": "8", "name": "a.txt", "size": 3, "type": "text/plain"}


def link(attachment: dict[str, Any]) -> str:
    return f"/f/{attachment['id']}"


def entry(text: str | None, *files: dict[str, Any], kind: str = "file") -> Entry:
    body = bodies.MessageBody("5", kind, text, attachments=list(files))
    return Entry(
        LOBBY, 3, EntryKind.MESSAGE_CREATED, UserId(1), "c", 0, 1, bodies.created(body), MessageId(5), by_name="Ann"
    )


def frames(codec: Any, what: Entry, about: About | None = None) -> list[Any]:
    shown = codec.entries(about or About(LOBBY, "room", lobby=True), 3, False, [what])
    return [msgspec.json.decode(frame) for frame in shown]


def test_the_lobby_links_the_first_file_and_lists_the_others() -> None:
    codec = LobbyCodec(LOBBY, links=link)
    (frame,) = frames(codec, entry(None, CAT))
    assert frame["message"] | {"time": ""} == {
        "userid": "1", "userphone": "Ann", "message": "cat.png", "time": "", "filelink": "/f/9",
    }  # fmt: skip
    (frame,) = frames(codec, entry("two", CAT, TEXT))
    assert (frame["message"]["message"], frame["message"]["filelink"]) == ("two\n/f/8", "/f/9")


def test_kama_has_a_frame_of_type_2_for_each_file() -> None:
    about = About(ConversationId(4), "group")
    first, second = frames(KamaCodec(links=link), entry("two", CAT, TEXT), about)
    assert {key: first[key] for key in ("type", "content", "url", "file_name", "file_type", "file_size")} == {
        "type": 2, "content": "two", "url": "/f/9", "file_name": "cat.png", "file_type": "image/png", "file_size": "5",
    }  # fmt: skip
    assert (second["type"], second["content"], second["url"], second["receive_id"]) == (2, "", "/f/8", "G4")


def test_direct_shows_a_picture_as_one_and_other_files_as_links() -> None:
    codec = DirectCodec(LOBBY, lambda _: None, link)
    (frame,) = frames(codec, entry(None, CAT, kind="image"))
    assert (frame["contentType"], frame["content"]) == (2, "/f/9")
    (frame,) = frames(codec, entry("see", TEXT))
    assert (frame["contentType"], frame["content"]) == (1, "see\n/f/8")


def test_a_room_shows_links_as_lines() -> None:
    (frame,) = frames(RoomCodec(LOBBY, "garden", link), entry(None, CAT, TEXT))
    assert frame["payload"]["content"] == "/f/9\n/f/8"


def test_progress_is_told_to_natives_and_its_quarters_to_the_lobby() -> None:
    payload = {"conversation_id": "1", "upload_id": "9", "user_id": "1", "name": "a.txt", "size": 8, "offset": 4}
    assert b'"type":"upload.progress"' in NativeCodec().signal(Signal("upload.progress", payload))
    lobby = LobbyCodec(LOBBY)
    assert lobby.signal(Signal("upload.progress", payload, by_name="Ann")) is None
    told = lobby.signal(Signal("upload.progress", payload | {"quarter": True}, by_name="Ann"))
    assert told is not None
    assert "Ann 正在上传 a.txt（50%）".encode() in told
    for codec in (RoomCodec(LOBBY, "garden"), KamaCodec(), DirectCodec(LOBBY, lambda _: None)):
        assert codec.signal(Signal("upload.progress", payload | {"quarter": True})) is None


class Heard:
    """What is told of uploads."""

    def __init__(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[Signal] = []
        monkeypatch.setattr(here.parley.uploads.progress, "_fanout", self)

    def tell_conversation(self, conversation_id: ConversationId, signal: Signal, without: UserId | None = None) -> None:
        assert conversation_id == signal.conversation_id
        self.told.append(signal)


async def test_members_hear_how_far_it_is(
    here: Here, ann: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the beginning to the end, and nobody where no conversation was named."""
    heard = Heard(here, monkeypatch)
    group = await ann.group(bob)
    await ann.upload(b"x" * 100)
    assert heard.told == []
    file_id = await ann.upload(b"x" * 3_000_000, "b.bin", conversation_id=group)
    first, *_, last = [signal.payload for signal in heard.told]
    assert (first["offset"], first["quarter"]) == (0, True)
    assert last == {
        "conversation_id": group, "upload_id": file_id, "user_id": ann.id, "name": "b.bin", "size": 3_000_000,
        "offset": 3_000_000, "done": True,
    }  # fmt: skip
    assert len(heard.told) <= 3
    where = (await ann.create(10, conversation_id=group)).headers["location"]
    await ann.http.delete(where, headers={"Tus-Resumable": "1.0.0"})
    assert heard.told[-1].payload["cancelled"] is True


# The lobby clients' own uploads

CONTENT = bytes(range(256)) * 100
CHUNK = 10_000


async def init(person: Person, content: bytes = CONTENT, name: str = "a.bin", chunk: int = CHUNK) -> dict[str, Any]:
    said = {"fileHash": hashlib.md5(content, usedforsecurity=False).hexdigest(), "fileName": name}
    answer = await person.http.post("/api/upload/init", json={**said, "fileSize": len(content), "chunkSize": chunk})
    assert answer.json()["code"] == 200, answer.text
    return dict(answer.json()["data"])


async def put(person: Person, upload_id: str, index: int, content: bytes) -> httpx.Response:
    data = {"uploadId": upload_id, "index": str(index)}
    return await person.http.post("/api/upload/chunk", data=data, files={"file": ("blob", content)})


async def merge(person: Person, upload_id: str) -> httpx.Response:
    return await person.http.post("/api/upload/merge", json={"uploadId": upload_id})


def piece(index: int) -> bytes:
    return CONTENT[index * CHUNK : (index + 1) * CHUNK]


async def test_chunks_in_any_order_go_on_where_they_were(here: Here, ann: Person) -> None:
    """And end as a message in the lobby, once, whose link anybody there can follow."""
    begun = await init(ann)
    assert (begun["missing"], begun["uploaded"]) == ([0, 1, 2], False)
    assert (await put(ann, begun["uploadId"], 2, piece(2))).json()["data"] == {"index": 2, "missing": 2}
    assert (await merge(ann, begun["uploadId"])).json()["code"] == 409
    again = await init(ann)
    assert (again["uploadId"], again["missing"]) == (begun["uploadId"], [0, 1])
    query = {"uploadId": begun["uploadId"], "index": "0"}
    assert (await ann.http.post("/api/upload/chunk", params=query, content=piece(0))).json()["code"] == 200
    await put(ann, begun["uploadId"], 1, piece(1))

    done, again = [(await merge(ann, begun["uploadId"])).json() for _ in range(2)]
    assert done["code"] == again["code"] == 200
    assert (done["data"]["fileName"], done["data"]["fileSize"]) == ("a.bin", len(CONTENT))
    async with here.client() as nobody:
        assert (await nobody.get(done["data"]["filelink"])).content == CONTENT
    (message,) = await ann.messages(await here.lobby())
    assert message["attachments"][0]["id"] == done["data"]["fileId"]


async def test_a_hash_is_a_name_for_ones_own_files_only(here: Here, ann: Person, mallory: Person) -> None:
    begun = await init(ann)
    for index in range(3):
        await put(ann, begun["uploadId"], index, piece(index))
    await merge(ann, begun["uploadId"])

    theirs = await init(mallory)
    assert (theirs["uploaded"], theirs["missing"]) == (False, [0, 1, 2])
    assert theirs["uploadId"] != begun["uploadId"]
    assert (await put(mallory, begun["uploadId"], 0, piece(0))).json()["code"] == 404
    assert (await merge(mallory, begun["uploadId"])).json()["code"] == 404

    own = await init(ann)
    assert (own["uploaded"], own["missing"]) == (True, [])
    assert (await merge(ann, own["uploadId"])).json()["code"] == 200
    assert len(await ann.messages(await here.lobby())) == 2


async def test_a_chunk_is_taken_whole_or_not_at_all(here: Here, ann: Person) -> None:
    begun = await init(ann)
    upload_id = begun["uploadId"]
    for index, content in ((0, piece(0)[:-1]), (0, piece(0) + b"x"), (3, b"x"), (-1, b"x"), (2, piece(0))):
        assert (await put(ann, upload_id, index, content)).json()["code"] == 400, index
    assert (await put(ann, "999", 0, piece(0))).json()["code"] == 404
    broken = b'--b\r\nContent-Disposition: form-data; name="index"\r\n\r\n0'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert (await ann.http.post("/api/upload/chunk", content=broken, headers=headers)).json()["code"] == 400
    endless = {"Content-Type": "multipart/form-data; boundary=b"}
    assert (await ann.http.post("/api/upload/chunk", content=b"x" * 100_000, headers=endless)).json()["code"] == 400
    async with here.client() as nobody:
        answer = await nobody.post("/api/upload/chunk", params={"uploadId": upload_id, "index": "0"}, content=piece(0))
        assert answer.status_code == 401
    assert (await init(ann))["missing"] == [0, 1, 2]
    assert refusal(await ann.patch(f"/api/v1/files/uploads/{upload_id}", 0, b"x")) == (409, "unsupported")
