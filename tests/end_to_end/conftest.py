"""A real Chromium, the built page, and a server of its own for each test."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
]


def _missing() -> str | None:
    if not (ROOT / "web" / "dist" / "index.html").is_file():
        return "the page is not built"
    return None if _chromium() else "there is no Chromium"


def _chromium() -> str | None:
    return os.environ.get("PARLEY_CHROMIUM") or shutil.which("chromium")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Skips where there is no browser or no page. Under CI both must be there."""
    if reason := _missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
        yield chromium
        await chromium.close()
