"""A server, and three people on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.files.here import Here, Person, server


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    async with server(tmp_path / "data") as started:
        yield started


@pytest.fixture
async def ann(here: Here) -> Person:
    return await here.person("ann")


@pytest.fixture
async def bob(here: Here) -> Person:
    return await here.person("bob")


@pytest.fixture
async def mallory(here: Here) -> Person:
    return await here.person("mallory")
