"""The store of the conformance suite, once per implementation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.store.stores import KITS, Cast, Kit, Store

from parley.protocol.types import ConversationId, UserId


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Faults are logged with their tracebacks, and to draw those takes longer than the test."""
    with capture_logs():
        yield


@pytest.fixture(params=list(KITS.values()), ids=list(KITS))
def kit(request: pytest.FixtureRequest) -> Kit:
    kit = request.param
    assert isinstance(kit, Kit)
    return kit


@pytest.fixture
def store(kit: Kit, tmp_path: Path) -> Iterator[Store]:
    store = Store(kit, tmp_path).open()
    yield store
    store.close()


@pytest.fixture
def ann(store: Store) -> UserId:
    return store.user("ann")


@pytest.fixture
def bob(store: Store) -> UserId:
    return store.user("bob")


@pytest.fixture
def group(store: Store, ann: UserId, bob: UserId) -> ConversationId:
    """Owned by Ann, with Bob in it: its log begins with their two joinings."""
    return store.group(ann, bob)


@pytest.fixture
def cast(store: Store) -> Cast:
    return Cast.of(store)
