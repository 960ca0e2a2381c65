"""The log of the conformance suite, once per implementation."""

from __future__ import annotations

import pytest
from tests.log.logs import LOGS, Watched, watch


@pytest.fixture(params=list(LOGS))
async def watched(request: pytest.FixtureRequest) -> Watched:
    return watch(LOGS[request.param])
