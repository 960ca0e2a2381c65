"""A stream over a real store into a real Kafka, and somebody who reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.stores import KITS, Store


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = Store(KITS[getattr(request, "param", "sqlite")], tmp_path).open()
    yield store
    store.close()
