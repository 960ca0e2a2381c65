"""The services over a real store, once per engine: what they ask and change is SQL that all engines must take alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.services.world import World
from tests.store.servers import needs
from tests.store.stores import KITS, Kit

ENGINES = {name: kit for name, kit in KITS.items() if name != "sqlite-threaded"}


@pytest.fixture(params=list(ENGINES.values()), ids=list(ENGINES))
def kit(request: pytest.FixtureRequest) -> Kit:
    kit = request.param
    assert isinstance(kit, Kit)
    if kit.server is not None:
        needs(kit.server)
    return kit


@pytest.fixture
async def world(tmp_path: Path, kit: Kit) -> AsyncIterator[World]:
    world = await World.open(tmp_path, kit)
    yield world
    await world.close()
