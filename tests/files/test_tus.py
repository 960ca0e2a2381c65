"""tus, request by request: what is refused, what stays, and what is told."""

from __future__ import annotations

import base64
import hashlib

import pytest
from tests.files.here import BYTES, TUS, UPLOADS, Here, Person, refusal, server

BODY = bytes(range(256)) * 40


def sum_of(algorithm: str, content: bytes) -> str:
    digest = hashlib.new(algorithm, content, usedforsecurity=False).digest()
    return f"{algorithm} {base64.b64encode(digest).decode()}"


async def test_an_upload_in_two_stretches_becomes_a_file(ann: Person) -> None:
    created = await ann.create(len(BODY), filename="a.bin")
    where = created.headers["location"]
    assert created.status_code == 201
    assert created.headers["tus-resumable"] == "1.0.0"
    assert "upload-expires" in created.headers

    first = await ann.patch(where, 0, BODY[:1000])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "1000")
    asked = await ann.head(where)
    assert (asked.headers["upload-offset"], asked.headers["upload-length"]) == ("1000", str(len(BODY)))
    assert asked.headers["cache-control"] == "no-store"
    last = await ann.patch(where, 1000, BODY[1000:])
    assert (last.status_code, last.headers["upload-offset"]) == (204, str(len(BODY)))

    done = await ann.head(where)
    assert done.headers["upload-offset"] == str(len(BODY))
    assert "upload-expires" not in done.headers
    got = await ann.http.get(f"/api/v1/files/{where.rpartition('/')[2]}")
    assert got.content == BODY


async def test_what_is_spoken_is_told_to_anybody(here: Here) -> None:
    async with here.client() as http:
        answer = await http.options(UPLOADS)
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation", "creation-with-upload", "expiration", "checksum", "termination",
    }  # fmt: skip
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"
    assert answer.headers["tus-max-size"] == "104857600"


async def test_a_wrong_offset_changes_nothing(ann: Person) -> None:
    where = (await ann.create(len(BODY), content=BODY[:100])).headers["location"]
    for offset in (0, 99, 101, len(BODY)):
        answer = await ann.patch(where, offset, b"x")
        assert refusal(answer)[0] in (409, 413), offset
        assert answer.headers["tus-resumable"] == "1.0.0"
    assert refusal(await ann.patch(where, 99, b"x")) == (409, "offset_mismatch")
    assert (await ann.head(where)).headers["upload-offset"] == "100"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_a_checksum_is_held_against_the_bytes(ann: Person, algorithm: str) -> None:
    where = (await ann.create(len(BODY))).headers["location"]
    wrong = await ann.patch(where, 0, BODY[:500], **{"Upload-Checksum": sum_of(algorithm, b"other")})
    assert refusal(wrong) == (460, "checksum_mismatch")
    assert (await ann.head(where)).headers["upload-offset"] == "0"
    right = await ann.patch(where, 0, BODY, **{"Upload-Checksum": sum_of(algorithm, BODY)})
    assert right.status_code == 204
    got = await ann.http.get(f"/api/v1/files/{where.rpartition('/')[2]}")
    assert got.content == BODY


async def test_a_file_that_is_there_takes_no_more(ann: Person) -> None:
    file_id = await ann.upload(BODY)
    where = f"{UPLOADS}/{file_id}"
    assert refusal(await ann.patch(where, len(BODY), b"x")) == (409, "offset_mismatch")
    assert refusal(await ann.patch(where, 0, b"x")) == (409, "offset_mismatch")
    assert (await ann.patch(where, len(BODY), b"")).status_code == 204


async def test_an_empty_file_is_a_file_at_once(ann: Person) -> None:
    answer = await ann.create(0, filename="nothing")
    assert answer.status_code == 201
    got = await ann.http.get(f"/api/v1/files/{answer.headers['location'].rpartition('/')[2]}")
    assert (got.status_code, got.content) == (200, b"")


BAD: dict[str, tuple[str, dict[str, str], int]] = {
    "no version": ("POST", {"Tus-Resumable": ""}, 412),
    "another version": ("POST", {"Tus-Resumable": "0.2.2"}, 412),
    "no length": ("POST", {}, 400),
    "a length of words": ("POST", {"Upload-Length": "ten"}, 400),
    "a length below zero": ("POST", {"Upload-Length": "-1"}, 400),
    "a length beyond all": ("POST", {"Upload-Length": "9" * 30}, 400),
    "a deferred length": ("POST", {"Upload-Defer-Length": "1"}, 400),
    "a piece of one": ("POST", {"Upload-Length": "1", "Upload-Concat": "partial"}, 400),
    "metadata that is no base64": ("POST", {"Upload-Length": "1", "Upload-Metadata": "filename ~~~"}, 400),
    "metadata that is no text": ("POST", {"Upload-Length": "1", "Upload-Metadata": "filename /w=="}, 400),
    "metadata twice": ("POST", {"Upload-Length": "1", "Upload-Metadata": "a YQ==,a YQ=="}, 400),
    "metadata without end": ("POST", {"Upload-Length": "1", "Upload-Metadata": "a YQ==," * 40}, 400),
    "larger than the largest": ("POST", {"Upload-Length": "104857601"}, 413),
    "a conversation that is not": ("POST", {"Upload-Length": "1", "Upload-Metadata": "conversation_id OTk5"}, 404),
    "a conversation of words": ("POST", {"Upload-Length": "1", "Upload-Metadata": "conversation_id YWJj"}, 404),
    "a loud waveform": ("POST", {"Upload-Length": "1", "Upload-Metadata": "waveform MTAx"}, 400),
    "a duration of words": ("POST", {"Upload-Length": "1", "Upload-Metadata": "duration_ms YWJj"}, 400),
    "another algorithm": ("PATCH", {"Upload-Offset": "0", "Upload-Checksum": "crc32 AAAA"}, 400),
    "a sum that is no base64": ("PATCH", {"Upload-Offset": "0", "Upload-Checksum": "sha1 ~"}, 400),
    "another kind of body": ("PATCH", {"Upload-Offset": "0", "Content-Type": "application/json"}, 415),
    "no offset": ("PATCH", {}, 400),
    "more than declared": ("PATCH", {"Upload-Offset": "0"}, 413),
}


async def test_what_is_not_tus_is_said_and_leaves_nothing(ann: Person) -> None:
    """With the version in the answer, and no upload made or moved."""
    where = (await ann.create(3)).headers["location"]
    for name, (method, headers, status) in BAD.items():
        post = method == "POST"
        base, where_to, content = (TUS, UPLOADS, b"") if post else (BYTES, where, b"abcd")
        answer = await ann.http.request(method, where_to, headers={**base, **headers}, content=content)
        assert answer.status_code == status, name
        assert answer.headers["tus-resumable"] == "1.0.0", name
    assert (await ann.head(where)).headers["upload-offset"] == "0"


async def test_more_than_declared_is_refused_also_without_a_length(ann: Person) -> None:
    """A body in chunks says no length beforehand."""

    async def body() -> object:
        yield b"abc"
        yield b"d"

    where = (await ann.create(3)).headers["location"]
    answer = await ann.http.patch(where, headers={**BYTES, "Upload-Offset": "0"}, content=body())  # type: ignore[arg-type]
    assert refusal(answer) == (413, "file_too_large")
    assert (await ann.head(where)).headers["upload-offset"] == "0"


async def test_an_upload_is_its_owners_alone(ann: Person, mallory: Person, here: Here) -> None:
    """To others it is not there."""
    where = (await ann.create(len(BODY), content=BODY[:10])).headers["location"]
    assert (await mallory.head(where)).status_code == 404
    assert refusal(await mallory.patch(where, 10, BODY[10:])) == (404, "unknown_file")
    assert refusal(await mallory.http.delete(where, headers=TUS)) == (404, "unknown_file")
    async with here.client() as nobody:
        assert (await nobody.patch(where, headers={**BYTES, "Upload-Offset": "10"}, content=b"x")).status_code == 401
    assert (await ann.head(where)).headers["upload-offset"] == "10"


async def test_termination_forgets_it_and_frees_its_room(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with server(tmp_path_factory.mktemp("small"), limits={"quota_bytes": 1000}) as here:
        ann = await here.person("ann")
        where = (await ann.create(900, content=b"x" * 100)).headers["location"]
        assert refusal(await ann.create(101)) == (413, "quota_exceeded")
        assert (await ann.http.delete(where, headers=TUS)).status_code == 204
        assert (await ann.head(where)).status_code == 404
        file_id = await ann.upload(b"y" * 1000)
        assert refusal(await ann.create(1)) == (413, "quota_exceeded")
        assert (await ann.http.delete(f"{UPLOADS}/{file_id}", headers=TUS)).status_code == 204
        assert (await ann.create(1000)).status_code == 201
        staged = {file.suffix for file in here.parley.uploads.staging.path(0).parent.iterdir()}
        assert staged == {".id", ".part", ".sure"}


async def test_the_servers_quota_counts_the_same_content_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with server(tmp_path_factory.mktemp("small"), limits={"server_quota_bytes": 1000}) as here:
        ann, bob = await here.person("ann"), await here.person("bob")
        await ann.upload(b"same" * 100)
        await bob.upload(b"same" * 100)
        assert (await bob.create(601)).json()["name"] == "quota_exceeded"
        assert (await bob.create(600)).status_code == 201


async def test_methods_by_another_name(ann: Person) -> None:
    where = (await ann.create(3)).headers["location"]
    answer = await ann.http.post(
        where, headers={**BYTES, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}, content=b"abc"
    )
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, "3")
    gone = await ann.http.post(where, headers={**TUS, "X-HTTP-Method-Override": "DELETE"})
    assert gone.status_code == 204
    assert (await ann.head(where)).status_code == 404


NAMES = {
    "../../etc/passwd": "passwd",
    "C:\\Users\\ann\\x.txt": "x.txt",
    "a\x01b\u202egpj.exe": "abgpj.exe",
    "...": "file",
    "": "file",
    "/": "file",
    ".hidden": "hidden",
    "x" * 10_000 + ".tar": "x" * 196 + ".tar",
    "猫.png": "猫.png",
    'a"b\r\nSet-Cookie: x.txt': 'a"bSet-Cookie: x.txt',
}


async def test_a_name_is_a_name_and_no_path(ann: Person, here: Here) -> None:
    lobby = await here.lobby()
    for number, (name, wanted) in enumerate(NAMES.items()):
        file_id = await ann.upload(b"hello", filename=name)
        assert (await ann.send(lobby, [file_id], client_id=str(number))).status_code == 201
        assert (await ann.messages(lobby))[-1]["attachments"][0]["name"] == wanted
        got = await ann.http.get(f"/api/v1/files/{file_id}")
        assert got.headers["content-disposition"].startswith("attachment; ")
        assert "set-cookie" not in got.headers
