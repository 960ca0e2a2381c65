"""Someone at the page: does what a person does, and reads what a person sees."""

from dataclasses import dataclass

from playwright.async_api import Browser, Locator, Page, expect

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Seen:
    """A message as it stands in the timeline."""

    seq: int
    text: str


class Person:
    """One browser context: its own cookies, storage and sockets."""

    def __init__(self, name: str, page: Page) -> None:
        self.name = name
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    @classmethod
    async def signs_up(cls, browser: Browser, url: str, name: str, locale: str = "en-GB") -> "Person":
        context = await browser.new_context(locale=locale, viewport={"width": 1200, "height": 800})
        person = cls(name, await context.new_page())
        await person.page.goto(url)
        username = person.at("auth-username")
        await expect(username).to_be_visible()
        await person._choose_sign_up()
        await username.fill(name)
        await person.at("auth-password").fill(PASSWORD)
        await person.at("auth-submit").click()
        await expect(person.at("composer")).to_be_visible()
        return person

    async def _choose_sign_up(self) -> None:
        """The very first visitor finds sign-up open already, and nothing to switch to."""
        if await self.at("auth-switch").count():
            await self.at("auth-switch").click()

    def at(self, testid: str) -> Locator:
        return self.page.get_by_test_id(testid)

    async def says(self, text: str) -> None:
        await self.at("composer").fill(text)
        await self.at("composer").press("Enter")

    async def hears(self, text: str) -> None:
        await expect(self.at("message").filter(has_text=text)).to_be_visible(timeout=45_000)

    async def connection_is(self, state: str) -> None:
        await self.page.wait_for_function(
            "state => (document.querySelector('[data-testid=connection-bar]')?.dataset.state ?? 'connected') === state",
            arg=state,
            timeout=30_000,
        )

    async def all_stored(self) -> None:
        """None of one's own messages is pending or failed any more."""
        await expect(self.page.locator("[data-testid=message][data-state=pending]")).to_have_count(0, timeout=40_000)
        await expect(self.page.locator("[data-testid=message][data-state=failed]")).to_have_count(0)

    async def timeline(self) -> list[Seen]:
        rows: list[tuple[str, str]] = await self.page.eval_on_selector_all(
            "[data-testid=message]",
            """rows => rows.map(row =>
                [row.dataset.seq, row.querySelector('[data-testid=message-text]').innerText.trim()])""",
        )
        return [Seen(int(seq), text) for seq, text in rows]
