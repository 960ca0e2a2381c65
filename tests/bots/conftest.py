"""A live server, and callers of every kind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from tests.gateway.live import Live, Person, Template, live_server

Call = Callable[..., Any]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("template"))


@pytest.fixture
async def server(template: Template, tmp_path: Path) -> AsyncIterator[Live]:
    template.lay_down(tmp_path)
    async with live_server(tmp_path) as live:
        yield live


@pytest.fixture
async def admin(server: Live) -> Person:
    return await server.person("admin")


@pytest.fixture
async def http(server: Live) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", trust_env=False) as client:
        yield client


def by(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
