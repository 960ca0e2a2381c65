"""A live server per test, once on each WebSocket engine: both must keep the same promises."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.gateway.live import Live, Person, Template, live_server

ENGINES = ("picows", "sansio")
Serving = Callable[..., AbstractAsyncContextManager[Live]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that `parley serve` runs on: its transports differ from asyncio's where it matters."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("template"))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def serving(engine: str, template: Template, tmp_path: Path) -> Serving:
    """`async with serving(limits={...}) as server`: one with settings of its own."""
    template.lay_down(tmp_path)

    def serve(**sections: Any) -> AbstractAsyncContextManager[Live]:
        return live_server(tmp_path, websocket={"engine": engine}, **sections)

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


@pytest.fixture
async def mallory(server: Live, bob: Person) -> Person:
    return await server.person("mallory")


@pytest.fixture
async def talk(server: Live, alice: Person, bob: Person) -> str:
    """A group of alice and bob."""
    return await server.group(alice, bob)
