"""The older dialects' doors of a real server, once on each WebSocket engine, and plain clients to knock at them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from tests.gateway.conftest import (  # noqa: F401 - fixtures of that folder
    engine,
    pytest_asyncio_loop_factories,
    server,
    serving,
    template,
)
from tests.gateway.live import Live
from tests.legacy.client import Account, Client, Doors

OpenDoors = Callable[..., AbstractAsyncContextManager[Doors]]


@pytest.fixture
def opening(serving: Callable[..., AbstractAsyncContextManager[Live]]) -> OpenDoors:  # noqa: F811 - the fixture
    """`async with opening(auth={...}) as doors`: a server with settings of its own."""

    @asynccontextmanager
    async def open_(**sections: Any) -> AsyncIterator[Doors]:
        async with serving(**sections) as live, AsyncExitStack() as stack:
            yield Doors(live, stack)

    return open_


@pytest.fixture
async def doors(server: Live) -> AsyncIterator[Doors]:  # noqa: F811 - the fixture
    async with AsyncExitStack() as stack:
        yield Doors(server, stack)


@pytest.fixture
def account(doors: Doors) -> Callable[[str], Awaitable[Account]]:
    """`await account("ann")`: an account with its tokens; the first is the administrator's."""
    return doors.account


@pytest.fixture
def connect(doors: Doors) -> Callable[..., Awaitable[Client]]:
    """`await connect("/ws?room=general", {"Authorization": …})`."""
    return doors.connect
