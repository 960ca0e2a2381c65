"""Who reads a file, and how: members of what holds it, its owner while nothing does, and whoever has a link."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.files.here import TUS, UPLOADS, Here, Person, refusal, server

from parley.testing.clock import FakeClock

BODY = b"0123456789" * 1000


async def test_every_route_asks_who_is_there_now(here: Here, ann: Person, bob: Person, mallory: Person) -> None:
    """Each row: who, and whether they may read before it is in a message, in one, after leaving, after its deletion."""
    admin = ann  # the first account
    group = await bob.group(admin, mallory)
    file_id = await bob.upload(BODY, conversation_id=group)
    stranger = await here.person("stranger")
    await bob.http.patch(f"/api/v1/conversations/{group}/members/{admin.id}", json={"role": "admin"})

    async def readers() -> set[str]:
        """Over every route that shows something of it."""
        may = set()
        for name, person in {"owner": bob, "moderator": admin, "member": mallory, "stranger": stranger}.items():
            answers = [
                await person.http.get(f"/api/v1/files/{file_id}"),
                await person.http.head(f"/api/v1/files/{file_id}"),
                await person.http.get(f"/api/v1/files/{file_id}", headers={"Range": "bytes=0-9"}),
                await person.http.get(f"/api/v1/files/{file_id}/link"),
            ]
            assert {answer.is_success for answer in answers} in ({True}, {False}), name
            if not answers[0].is_success:
                assert refusal(answers[0]) == (404, "unknown_file")
                assert BODY[:10] not in b"".join(answer.content for answer in answers)
            else:
                may.add(name)
        async with here.client() as nobody:
            assert (await nobody.get(f"/api/v1/files/{file_id}")).status_code == 401
            assert (await nobody.get(f"/api/v1/files/{file_id}/link")).status_code == 401
        return may

    assert await readers() == {"owner"}
    sent = await bob.send(group, [file_id])
    assert sent.status_code == 201
    assert await readers() == {"owner", "moderator", "member"}
    await admin.http.delete(f"/api/v1/conversations/{group}/members/{mallory.id}")
    assert await readers() == {"owner", "moderator"}
    message = sent.json()["message_id"]
    await admin.http.delete(f"/api/v1/conversations/{group}/messages/{message}")
    assert await readers() == set()


async def test_uploads_are_nobody_elses_whatever_their_role(
    here: Here, ann: Person, bob: Person, mallory: Person
) -> None:
    """The administrator, members and moderators of the conversation among them."""
    group = await bob.group(ann, mallory)
    where = (await bob.create(10, conversation_id=group)).headers["location"]
    for person in (ann, mallory, await here.person("stranger")):
        assert (await person.head(where)).status_code == 404
        assert (await person.patch(where, 0, b"x")).status_code == 404
        assert (await person.http.delete(where, headers=TUS)).status_code == 404
    assert (await bob.head(where)).status_code == 200


async def test_who_is_removed_brings_nothing_more(ann: Person, bob: Person) -> None:
    """An upload for a conversation goes on only as long as its owner is in it."""
    group = await ann.group(bob)
    where = (await bob.create(10, content=b"12345", conversation_id=group)).headers["location"]
    await ann.http.delete(f"/api/v1/conversations/{group}/members/{bob.id}")
    assert refusal(await bob.patch(where, 5, b"67890")) == (404, "unknown_conversation")
    assert refusal(await bob.create(10, conversation_id=group)) == (404, "unknown_conversation")


async def test_only_what_one_has_or_may_read_is_attached(ann: Person, bob: Person, mallory: Person) -> None:
    group = await ann.group(bob)
    own = await mallory.group()
    file_id = await ann.upload(BODY)
    assert refusal(await mallory.send(own, [file_id])) == (404, "unknown_file")
    assert refusal(await mallory.send(own, ["1"])) == (404, "unknown_file")
    unfinished = (await ann.create(10)).headers["location"].rpartition("/")[2]
    assert refusal(await ann.send(group, [unfinished])) == (404, "unknown_file")
    assert (await ann.send(group, [file_id])).status_code == 201
    assert refusal(await mallory.send(own, [file_id], client_id="again")) == (404, "unknown_file")
    # Bob may read it now, and pass it on to where Ann is not.
    alone = await bob.group()
    assert (await bob.send(alone, [file_id])).status_code == 201
    assert refusal(await ann.send(group, [await ann.upload(b"text")], kind="image")) == (400, "bad_payload")


async def test_a_file_goes_with_the_last_message_that_holds_it(here: Here, ann: Person, bob: Person) -> None:
    """Shown empty in every reading of the log; its bytes follow with the next sweep, and free their room."""
    group, alone = await ann.group(bob), await ann.group()
    file_id = await ann.upload(BODY)
    first = (await ann.send(group, [file_id])).json()["message_id"]
    second = (await ann.send(alone, [file_id], client_id="two")).json()["message_id"]
    again = await ann.send(group, [file_id])
    assert (again.status_code, again.json()["duplicate"]) == (200, True)

    await ann.http.delete(f"/api/v1/conversations/{group}/messages/{first}")
    assert (await bob.http.get(f"/api/v1/files/{file_id}")).status_code == 404
    assert (await ann.http.get(f"/api/v1/files/{file_id}")).status_code == 200
    (message,) = await bob.messages(group)
    assert message["attachments"] == []
    log = (await bob.http.get(f"/api/v1/conversations/{group}/log")).text
    assert file_id not in log

    await ann.http.delete(f"/api/v1/conversations/{alone}/messages/{second}")
    assert (await ann.http.get(f"/api/v1/files/{file_id}")).status_code == 404
    folder = here.parley.settings.server.data / "files"
    assert len(stored(folder)) == 1
    await here.parley._file_parts.sweeper.sweep()
    assert stored(folder) == []


def stored(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


async def test_the_same_bytes_lie_once_and_outlive_one_of_their_files(here: Here, ann: Person, bob: Person) -> None:
    one, other = await ann.upload(BODY, filename="a"), await bob.upload(BODY, filename="b")
    assert one != other
    folder = here.parley.settings.server.data / "files"
    assert len(stored(folder)) == 1
    assert (await ann.http.delete(f"{UPLOADS}/{one}", headers=TUS)).status_code == 204
    await here.parley._file_parts.sweeper.sweep()
    assert (await bob.http.get(f"/api/v1/files/{other}")).content == BODY
    assert (await bob.http.get(f"/api/v1/files/{one}")).status_code == 404


async def test_a_held_file_is_not_taken_back(here: Here, ann: Person) -> None:
    file_id = await ann.upload(BODY)
    await ann.send(await here.lobby(), [file_id])
    assert refusal(await ann.http.delete(f"{UPLOADS}/{file_id}", headers=TUS)) == (409, "unsupported")
    assert (await ann.http.get(f"/api/v1/files/{file_id}")).status_code == 200


RANGES: dict[str, tuple[int, bytes, str | None]] = {
    "bytes=0-9": (206, BODY[:10], "bytes 0-9/10000"),
    "bytes=9990-": (206, BODY[9990:], "bytes 9990-9999/10000"),
    "bytes=-5": (206, BODY[-5:], "bytes 9995-9999/10000"),
    "bytes=-99999": (206, BODY, "bytes 0-9999/10000"),
    "bytes=5-99999": (206, BODY[5:], "bytes 5-9999/10000"),
    "bytes=10000-": (416, b"", "bytes */10000"),
    "bytes=-0": (416, b"", "bytes */10000"),
    "bytes=9-0": (200, BODY, None),
    "bytes=-": (200, BODY, None),
    "bytes=0-1,5-6": (200, BODY, None),
    "lines=0-1": (200, BODY, None),
    "bytes=" + "9" * 40 + "-": (200, BODY, None),
}


async def test_stretches(ann: Person) -> None:
    file_id = await ann.upload(BODY)
    for header, (status, content, told) in RANGES.items():
        answer = await ann.http.get(f"/api/v1/files/{file_id}", headers={"Range": header})
        assert (answer.status_code, answer.headers.get("content-range")) == (status, told), header
        assert answer.content == content, header
        if status != 416:
            assert answer.headers["content-length"] == str(len(content))


async def test_what_a_reader_has_is_not_sent_again(ann: Person) -> None:
    where = f"/api/v1/files/{await ann.upload(BODY)}"
    etag = (await ann.http.get(where)).headers["etag"]
    same = await ann.http.get(where, headers={"If-None-Match": f'"x", W/{etag}'})
    assert (same.status_code, same.content) == (304, b"")
    part = {"Range": "bytes=0-9"}
    assert (await ann.http.get(where, headers={**part, "If-Range": etag})).status_code == 206
    for other in ('"other"', f"W/{etag}", "Sat, 21 Nov 2026 04:00:00 GMT"):
        answer = await ann.http.get(where, headers={**part, "If-Range": other})
        assert (answer.status_code, answer.content) == (200, BODY), other
    head = await ann.http.head(where)
    assert (head.headers["content-length"], head.headers["etag"], head.content) == ("10000", etag, b"")


HOSTILE = {
    "x.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "x.png": b"<!DOCTYPE html><html><script>alert(1)</script>",
    "y.jpg": b"<html><body onload=alert(1)>",
    "z.gif": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    "p.pdf": b"%PDF-1.7 /JavaScript",
    "n.txt": b"\xef\xbb\xbf<script>alert(1)</script>",
    "b.png": b"\x89PNG\r\n\x1a\n<script>alert(1)</script>",
}


async def test_nothing_that_can_run_is_shown_in_place(here: Here, ann: Person) -> None:
    """Whatever it is called and whatever the client says of it."""
    for name, content in HOSTILE.items():
        file_id = await ann.upload(content, filename=name, filetype="image/png")
        answer = await ann.http.get(f"/api/v1/files/{file_id}")
        assert answer.content == content
        assert answer.headers["content-disposition"].startswith("attachment"), name
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not answer.headers["content-type"].startswith("image/png"), name
        as_picture = await ann.send(await here.lobby(), [file_id], kind="image", client_id=name)
        assert refusal(as_picture) == (400, "bad_payload"), name


async def test_a_name_in_every_script_reaches_the_browser(ann: Person) -> None:
    answer = await ann.http.get(f"/api/v1/files/{await ann.upload(BODY, filename='猫 %41.txt')}")
    said = answer.headers["content-disposition"]
    assert said == "attachment; filename=\"_ _41.txt\"; filename*=UTF-8''%E7%8C%AB%20%2541.txt"


async def test_a_link_reads_one_file_for_its_time(tmp_path: Path) -> None:
    """And nothing else: each part of it is signed."""
    clock = FakeClock()
    async with server(tmp_path / "data", clock) as here:
        ann = await here.person("ann")
        one, other = await ann.upload(BODY), await ann.upload(b"other")
        link = (await ann.http.get(f"/api/v1/files/{one}/link")).json()
        assert link["thumbnail_url"] is None
        async with here.client() as nobody:
            assert (await nobody.get(link["url"])).content == BODY
            for changed in (
                link["url"].replace(one, other),
                link["url"].replace("?", "/thumbnail?"),
                re.sub(r"until=(\d)", r"until=9\1", link["url"]),
                link["url"][:-3] + "AAA",
                link["url"].replace("signature=", "signature=x"),
            ):
                assert refusal(await nobody.get(changed)) == (403, "invalid_link"), changed
            assert (await nobody.get(link["url"].partition("&")[0])).status_code == 401
            clock.advance(25 * 3600 + 1)
            assert refusal(await nobody.get(link["url"])) == (403, "invalid_link")


@pytest.mark.parametrize("public_url", ["", "https://chat.example.org"])
async def test_links_begin_where_the_operator_says(tmp_path: Path, public_url: str) -> None:
    data = tmp_path / "data"
    async with server(data, server={"data": str(data), "public_url": public_url}) as here:
        ann = await here.person("ann")
        link = (await ann.http.get(f"/api/v1/files/{await ann.upload(BODY)}/link")).json()["url"]
        assert link.startswith(f"{public_url}/api/v1/files/")


async def test_what_nobody_needs_is_swept(tmp_path: Path) -> None:
    """Uploads that rest and files in no message: after their time, and not before."""
    clock = FakeClock()
    data = {"auth": {"access_minutes": 1440}, "limits": {"upload_hours": 4}}
    async with server(tmp_path / "data", clock, **data) as here:
        ann = await here.person("ann")
        sweeper = here.parley._file_parts.sweeper
        resting = (await ann.create(10, content=b"12345")).headers["location"]
        unheld, held = await ann.upload(b"unheld"), await ann.upload(b"held")
        await ann.send(await here.lobby(), [held])
        folder = tmp_path / "data" / "files"
        clock.advance(3 * 3600)
        await sweeper.sweep()
        assert (await ann.head(resting)).headers["upload-offset"] == "5"
        assert (await ann.http.get(f"/api/v1/files/{unheld}")).status_code == 200
        assert len(stored(folder)) == 2

        clock.advance(2 * 3600)
        await sweeper.sweep(orphans=False)
        assert (await ann.head(resting)).status_code == 404
        assert (await ann.http.get(f"/api/v1/files/{unheld}")).status_code == 404
        assert (await ann.http.get(f"/api/v1/files/{held}")).content == b"held"
        assert len(stored(folder)) == 1
        assert [file.name for file in (tmp_path / "data" / "uploads").iterdir()] == ["folder.id"]
