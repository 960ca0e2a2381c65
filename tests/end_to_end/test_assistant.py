"""The assistant, bots and webhooks at the real page: asked, seen growing, stopped, copied, read out once."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, expect
from tests.assistant.provider_process import CannotBuild, Provider, find_node, running_provider
from tests.conftest import unavailable
from tests.end_to_end.person import Person

from parley.testing import ServerProcess, running_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

GROWING = "[data-testid=message][data-status=streaming]"

WATCH = """() => {
    window.shown = []
    window.readOut = []
    window.mightStop = false
    const look = () => {
        for (const answer of document.querySelectorAll('[data-testid=message][data-status]')) {
            const text = answer.querySelector('[data-testid=message-text]').innerText.trim()
            if (answer.querySelector('[data-testid=answer-thinking]') || !text) continue
            window.shown.push({ text, busy: answer.ariaBusy === 'true' })
        }
        window.mightStop ||= document.querySelector('[data-testid=answer-stop]') !== null
        const live = document.querySelector('[aria-live=polite].visually-hidden')?.innerText.trim()
        const busy = document.querySelector('[data-status=streaming]') !== null
        if (live && window.readOut.at(-1)?.text !== live) window.readOut.push({ text: live, busy })
    }
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true })
}"""


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    try:
        find_node()
    except CannotBuild as error:
        unavailable(str(error))
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def server(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {f"assistant.{name}": str(value) for name, value in provider.settings().items()}
    with running_server(tmp_path_factory.mktemp("assistant") / "data", settings=settings) as server:
        yield server


@pytest.fixture
async def ann(browser: Browser, server: ServerProcess) -> Person:
    """The administrator: she is the first, or signs in again."""
    return await come(browser, server, "ann")


async def come(browser: Browser, server: ServerProcess, name: str, locale: str = "en-GB") -> Person:
    async with httpx.AsyncClient(trust_env=False) as http:
        known = await http.post(
            f"{server.url}/api/v1/auth/login", json={"username": name, "password": "correct horse battery"}
        )
    if known.status_code != 200:
        return await Person.signs_up(browser, server.url, name, locale)
    context = await browser.new_context(locale=locale, viewport={"width": 1200, "height": 800})
    person = Person(name, await context.new_page())
    await person.page.goto(server.url)
    await person.at("auth-username").fill(name)
    await person.at("auth-password").fill("correct horse battery")
    await person.at("auth-submit").click()
    await expect(person.at("composer")).to_be_visible()
    return person


def answers(page: Page) -> Locator:
    return page.locator("[data-testid=message][data-status]")


async def grown(answer: Locator, chars: int) -> str:
    """What is shown of an answer, once it is this long."""
    text = answer.get_by_test_id("message-text")
    await expect(text).to_have_text(re.compile(rf"[\s\S]{{{chars},}}"))
    return (await text.inner_text()).strip()


async def test_an_answer_grows_before_everybody_and_is_read_out_once(
    browser: Browser, server: ServerProcess, ann: Person
) -> None:
    """Both see every word where it belongs, and an assistive technology hears nothing until the end."""
    bob = await come(browser, server, "bob", locale="zh-CN")
    await expect(ann.at("assistant-hint")).to_contain_text("@ai")
    for person in (ann, bob):
        await person.page.evaluate(WATCH)

    await ann.at("composer").press_sequentially("@")
    await expect(ann.at("ask-offer")).to_contain_text("Ask AI")
    await ann.at("composer").press("Enter")
    await expect(ann.at("composer")).to_have_value("@ai ")
    await ann.at("composer").press_sequentially("slowly say 60", delay=0)
    await ann.at("composer").press("Enter")

    whole = " ".join(f"word{n}" for n in range(60))
    for person in (ann, bob):
        await expect(answers(person.page).last).to_have_attribute("data-status", "done")
        await expect(answers(person.page).last).not_to_have_attribute("aria-busy", "true")
        shown = await person.page.evaluate("window.shown")
        assert shown[-1] == {"text": whole, "busy": False}
        assert [it["text"] for it in shown if not whole.startswith(it["text"])] == []
        assert len({it["text"] for it in shown if it["busy"]}) > 5, "it did not grow before the eyes"
        await person.page.wait_for_function("() => window.readOut.some(it => it.text.includes('word59'))")
        read_out = await person.page.evaluate("window.readOut")
        heard = [it for it in read_out if "word1" in it["text"]]
        assert [(it["text"].count("word59"), it["busy"]) for it in heard] == [(1, False)]
    assert [await person.page.evaluate("window.mightStop") for person in (ann, bob)] == [True, False]
    assert (ann.complaints, bob.complaints) == ([], [])


async def test_it_goes_on_after_a_reload_and_can_be_stopped_and_asked_again(
    browser: Browser, server: ServerProcess, ann: Person
) -> None:
    """Who reloads in the middle sees all so far, and more; and who asked, or an administrator, ends it."""
    bob = await come(browser, server, "bob")
    await bob.says("@ai talk at length")
    mine, theirs = answers(bob.page).last, answers(ann.page).last
    before = await grown(mine, 60)

    await bob.page.reload()
    after = await grown(mine, len(before) + 40)
    assert after.startswith(before)
    await expect(theirs.get_by_test_id("answer-stop")).to_be_visible()  # an administrator
    await bob.page.wait_for_function(
        "() => { const box = document.querySelector('[data-testid=timeline]');"
        " return box.scrollHeight > box.clientHeight + 300 }"
    )
    box = bob.at("timeline")
    assert await box.evaluate("box => box.scrollHeight - box.scrollTop - box.clientHeight < 60"), "it left the end"
    await box.evaluate("box => { box.scrollTop = 40 }")
    length = len(await grown(mine, 1))
    await grown(mine, length + 200)
    assert await box.evaluate("box => box.scrollTop") == 40

    await mine.get_by_test_id("answer-stop").click()
    for answer in (mine, theirs):
        await expect(answer).to_have_attribute("data-status", "cancelled")
        await expect(answer.get_by_test_id("answer-state")).to_contain_text("Stopped.")
    await mine.get_by_test_id("answer-retry").click()
    await expect(bob.page.locator("[data-own]").filter(has_text="@ai talk at length")).to_have_count(2)
    await expect(mine).to_have_attribute("data-status", "streaming")

    for _ in range(2):
        await bob.says("@ai talk at length")
    await expect(bob.at("question-queued")).to_contain_text("place 1")
    await expect(ann.at("question-queued")).to_have_count(0)
    await bob.at("question-cancel").click()
    await expect(bob.at("question-queued")).to_have_count(0)

    running = ann.page.locator(GROWING)
    await expect(running).to_have_count(2)
    await running.first.get_by_test_id("answer-stop").click()
    await expect(running).to_have_count(1)
    await running.first.get_by_test_id("answer-stop").click()
    await expect(bob.page.locator(GROWING)).to_have_count(0)
    assert (ann.complaints, bob.complaints) == ([], [])


async def test_markdown_and_code_grow_and_can_be_copied(server: ServerProcess, ann: Person) -> None:
    """No half mark is ever shown, and the button copies the code and nothing else."""
    await ann.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await ann.page.evaluate(WATCH)
    await ann.says("@ai teach me")
    answer = answers(ann.page).last
    await expect(answer).to_have_attribute("data-status", "done")
    await expect(answer.locator("strong")).to_have_text("how")
    await expect(answer.locator("ol li")).to_have_count(2)
    await expect(answer.locator("pre .hljs-keyword").first).to_have_text("def")
    for text in await ann.page.evaluate("window.shown.map(it => it.text)"):
        assert "**" not in text
        assert "``" not in text

    await answer.hover()
    await answer.get_by_test_id("code-copy").click()
    await expect(answer.get_by_test_id("code-copy")).to_have_text("Copied")
    copied = await ann.page.evaluate("navigator.clipboard.readText()")
    assert copied == "def total(numbers: list[int]) -> int:\n    return sum(numbers)  # the whole of it"
    await answer.get_by_test_id("answer-copy").click()
    await ann.page.wait_for_function(
        "() => navigator.clipboard.readText().then(text => text.startsWith('Here is **how**'))"
    )
    assert ann.complaints == []


async def test_a_bot_and_a_webhook_are_made_at_the_page_and_speak(server: ServerProcess, ann: Person) -> None:
    """Each secret is shown once and works; revoked, it does not."""
    await ann.at("settings-open").click()
    await ann.at("settings-bots").click()
    await ann.at("bot-username").fill("builds")
    await ann.at("bot-make").click()
    token = await ann.at("shown-once").inner_text()
    await expect(ann.at("bot")).to_have_count(1)
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        bot = {"Authorization": f"Bearer {token}"}
        lobby = (await http.get("/api/v1/conversations", headers=bot)).json()["items"][0]["id"]
        body = {"client_id": "b1", "text": "the build is green"}
        sent = await http.post(f"/api/v1/conversations/{lobby}/messages", headers=bot, json=body)
        assert sent.status_code == 201
        await ann.at("bot-remove").click()
        await ann.page.get_by_role("alertdialog").get_by_role("button", name="Remove").click()
        await expect(ann.at("bot")).to_have_count(0)
        assert (await http.get("/api/v1/users/me", headers=bot)).status_code == 401

        await ann.page.keyboard.press("Escape")
        said = ann.at("message").filter(has_text="the build is green")
        await expect(said.get_by_test_id("role-badge")).to_have_text("Bot")

        await ann.at("conversation-menu").click()
        await ann.at("webhooks").click()
        await ann.at("webhook-name").fill("Deploys")
        await ann.at("webhook-make").click()
        address = await ann.at("shown-once").inner_text()
        assert (await http.post(address, json={"text": "deployed"})).text == "ok"
        await ann.at("webhook-revoke").click()
        await expect(ann.at("webhook")).to_have_count(0)
        assert (await http.post(address, json={"text": "again"})).status_code == 404
    await ann.page.keyboard.press("Escape")
    await expect(ann.at("message").filter(has_text="deployed").get_by_test_id("role-badge")).to_have_text("Bot")
    assert ann.complaints == []


async def test_who_asks_where_there_is_none_is_told_so(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with running_server(tmp_path_factory.mktemp("none") / "data") as server:
        ann = await Person.signs_up(browser, server.url, "ann", locale="zh-CN")
        await expect(ann.at("assistant-hint")).to_have_count(0)
        await ann.says("@ai hello")
        await expect(ann.at("question-refused")).to_contain_text("AI服务暂时不可用，请稍后重试")
        assert ann.complaints == []
