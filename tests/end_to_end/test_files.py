"""Files at the real page: dropped, pasted, cut half-way, given up, refused; and seen by the other one."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.async_api import Browser, Request, expect
from tests.end_to_end.person import Person

from parley.testing import ServerProcess, running_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

LARGEST = 3_000_000
SLOW = 300_000
"""Bytes a second: slow enough that half of a picture is a state one can see."""

TRANSFER = """([name, type, encoded]) => {
    const bytes = Uint8Array.from(atob(encoded), letter => letter.charCodeAt(0))
    const transfer = new DataTransfer()
    transfer.items.add(new File([bytes], name, { type }))
    return transfer
}"""
PASTE = """(field, clipboardData) =>
    field.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {"limits.upload_bytes": str(LARGEST)}
    with running_server(tmp_path_factory.mktemp("files") / "data", settings=settings) as server:
        yield server


def noise(width: int, height: int) -> bytes:
    """A picture that does not get smaller: three bytes for each point."""
    file = io.BytesIO()
    image = Image.effect_noise((width, height), 90)
    Image.merge("RGB", (image, image.rotate(90), image.rotate(180))).resize((width, height)).save(file, "PNG")
    return file.getvalue()


async def drop(person: Person, name: str, mime: str, data: bytes) -> None:
    """Hold a file over the conversation, see where it may be dropped, and drop it."""
    arguments = [name, mime, base64.b64encode(data).decode()]
    transfer = await person.page.evaluate_handle(TRANSFER, arguments)
    timeline = person.at("timeline")
    await timeline.dispatch_event("dragenter", {"dataTransfer": transfer})
    await expect(person.at("drop-target")).to_be_visible()
    await timeline.dispatch_event("drop", {"dataTransfer": transfer})
    await expect(person.at("drop-target")).to_have_count(0)


async def slow_down(person: Person, upload: int) -> None:
    session = await person.page.context.new_cdp_session(person.page)
    await session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": upload},
    )


async def at_least(person: Person, testid: str, percent: int) -> None:
    await person.page.wait_for_function(
        """([testid, percent]) => {
            const bar = document.querySelector(`[data-testid=${testid}] [role=progressbar]`)
            return bar !== null && Number(bar.getAttribute('aria-valuenow')) >= percent
        }""",
        arg=[testid, percent],
    )


def watch_uploads(person: Person) -> list[Request]:
    """Every request of this page to an upload, in its order; grows."""
    seen: list[Request] = []
    person.page.on("request", lambda it: seen.append(it) if "/files/uploads" in it.url else None)
    return seen


async def test_a_dropped_picture_goes_on_after_a_reload_and_the_other_sees_it_come(
    browser: Browser, server: ServerProcess
) -> None:
    """Half of it is there when the page goes; the next page sends only the rest, and one message comes of it."""
    ann = await Person.signs_up(browser, server.url, "ann")
    bob = await Person.signs_up(browser, server.url, "bob")
    picture = noise(900, 600)
    await slow_down(ann, SLOW)
    requests = watch_uploads(ann)

    await drop(ann, "harbour.png", "image/png", picture)
    await expect(ann.at("chosen-file")).to_contain_text("harbour.png")
    await ann.says("look at **this**")
    await expect(ann.at("chosen-file")).to_have_count(0)
    await expect(bob.at("sending-other")).to_contain_text("ann is sending harbour.png")
    await at_least(bob, "sending-other", 40)
    await expect(ann.at("outgoing").get_by_role("progressbar", name="Sending harbour.png")).to_be_visible()
    assert await ann.at("outgoing-file").get_attribute("data-state") == "sending"

    before = len(requests)
    await ann.page.reload()
    await expect(ann.at("outgoing-file")).to_contain_text("harbour.png")
    await expect(ann.at("outgoing-file")).to_have_attribute("data-state", "sending")
    await ann.at("outgoing-pause").click()
    await expect(ann.at("outgoing-file")).to_have_attribute("data-state", "paused")
    await ann.at("outgoing-resume").click()

    for person in (ann, bob):
        message = person.at("message").filter(has_text="look at this")
        shown = message.get_by_test_id("message-picture").locator("img")
        await expect(shown).to_have_js_property("complete", True)
        await person.page.wait_for_function(
            "() => document.querySelector('[data-testid=message-picture] img')?.naturalWidth > 0"
        )
        box = await message.get_by_test_id("message-picture").bounding_box()
        assert box is not None
        assert box["width"] / box["height"] == pytest.approx(1.5, rel=0.02)
        await expect(person.at("message-picture")).to_have_count(1)
    await expect(bob.at("sending-other")).to_have_count(0)
    await expect(ann.at("outgoing")).to_have_count(0)

    later = [(it.method, it.headers.get("upload-offset")) for it in requests[before:]]
    assert "POST" not in [method for method, _ in later], "it began anew"
    offsets = [int(offset) for method, offset in later if method == "PATCH" and offset]
    assert offsets
    assert min(offsets) > len(picture) * 0.3
    assert (ann.complaints, bob.complaints) == ([], [])


async def test_pasted_given_up_and_too_large(browser: Browser, server: ServerProcess) -> None:
    """What is pasted is sent; what is given up leaves nothing behind; what is too large is refused in words."""
    eve = await Person.signs_up(browser, server.url, "eve")
    requests = watch_uploads(eve)
    arguments = ["shot.png", "image/png", base64.b64encode(noise(60, 90)).decode()]
    transfer = await eve.page.evaluate_handle(TRANSFER, arguments)
    await eve.at("composer").evaluate(PASTE, transfer)
    await expect(eve.at("chosen-file")).to_contain_text("shot.png")
    await eve.at("send").click()
    sent = eve.at("message").filter(has=eve.page.get_by_role("button", name="Show shot.png"))
    await expect(sent).to_have_attribute("data-state", re.compile("sent|delivered|read"))

    await drop(eve, "huge.bin", "", bytes(LARGEST + 1))
    await expect(eve.page.get_by_text("huge.bin is too large. Files have at most 3 MB here.")).to_be_visible()
    await expect(eve.at("chosen-file")).to_have_count(0)
    assert await eve.at("send").is_disabled()

    await slow_down(eve, SLOW)
    await drop(eve, "slow.bin", "", bytes(LARGEST - 1))
    await eve.at("send").click()
    await at_least(eve, "outgoing-file", 5)
    count = await eve.at("message").count()
    async with eve.page.expect_response(lambda it: it.request.method == "DELETE") as answer:
        await eve.at("outgoing-cancel").click()
    assert (await answer.value).status == 204
    await expect(eve.at("outgoing")).to_have_count(0)
    address = next(it.url for it in reversed(requests) if it.method == "DELETE")
    gone = await eve.page.request.head(address, headers={"Tus-Resumable": "1.0.0"})
    assert gone.status == 404
    await eve.page.reload()
    await expect(eve.at("composer")).to_be_visible()
    await expect(eve.at("message")).to_have_count(count)
    await expect(eve.at("outgoing")).to_have_count(0)
    assert eve.complaints == []


async def test_a_drawing_with_a_program_is_a_card_and_pictures_are_looked_at(
    browser: Browser, server: ServerProcess
) -> None:
    """SVG is never drawn in place; the viewer goes by arrows, and the focus comes back to where it was."""
    dan = await Person.signs_up(browser, server.url, "dan", locale="zh-CN")
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>window.hacked = 1</script></svg>"
    await drop(dan, "drawing.svg", "image/svg+xml", svg)
    await dan.at("send").click()
    card = dan.at("message-file").filter(has_text="drawing.svg")
    await expect(card).to_be_visible()
    message = dan.at("message").filter(has=card)
    await expect(message).to_have_attribute("data-state", re.compile("sent|delivered|read"))
    assert await message.locator("img, object, embed, iframe, video").count() == 0
    answer = await dan.page.request.get(await card.get_attribute("href") or "")
    assert answer.headers["content-disposition"].startswith("attachment")
    async with dan.page.expect_download() as download:
        await card.click()
    assert (await download.value).suggested_filename == "drawing.svg"

    for name in ("one.png", "two.png"):
        await drop(dan, name, "image/png", noise(120, 80))
    await expect(dan.at("chosen-file")).to_have_count(2)
    await dan.at("send").click()
    first = dan.page.get_by_role("button", name="查看 one.png")
    await expect(dan.at("message").filter(has=first)).to_have_attribute("data-state", re.compile("sent|delivered|read"))
    await first.click()
    viewer = dan.at("picture-viewer")
    await expect(viewer.get_by_role("heading")).to_contain_text("one.png")
    await dan.page.keyboard.press("ArrowRight")
    await expect(viewer.get_by_role("heading")).to_contain_text("two.png")
    await expect(dan.at("viewer-next")).to_have_count(0)
    await dan.page.keyboard.press("ArrowLeft")
    await expect(viewer.get_by_role("heading")).to_contain_text("one.png")
    assert "download=true" in (await dan.at("viewer-download").get_attribute("href") or "")
    await dan.page.keyboard.press("Escape")
    await expect(viewer).to_have_count(0)
    await expect(first).to_be_focused()
    assert dan.complaints == []
