"""A provider for the whole run, and a live server with it for each test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.assistant.provider_process import CannotBuild, Provider, find_node, running_provider
from tests.conftest import unavailable
from tests.gateway.live import Live, Person, Template, live_server

Serving = Callable[..., AbstractAsyncContextManager[Live]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    try:
        find_node()
    except CannotBuild as error:
        unavailable(str(error))
    with running_provider() as provider:
        yield provider


@pytest.fixture
def serving(provider: Provider, template: Template, tmp_path: Path) -> Serving:
    """`async with serving(running=1) as server`: one with an assistant of its own settings."""
    template.lay_down(tmp_path)

    def serve(sections: dict[str, Any] | None = None, **assistant: Any) -> AbstractAsyncContextManager[Live]:
        return live_server(tmp_path, assistant=provider.settings(**assistant), **(sections or {}))

    return serve


@pytest.fixture
async def server(serving: Serving) -> AsyncIterator[Live]:
    async with serving() as live:
        yield live


@pytest.fixture
async def alice(server: Live) -> Person:
    return await server.person("alice")


@pytest.fixture
async def bob(server: Live, alice: Person) -> Person:
    return await server.person("bob")
