"""The signing key is made once, durably, for nobody else's eyes."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from parley.services.tokens import BadSigningKey, signing_key


def test_the_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "data" / "signing.key"
    key = signing_key(path, make=True)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert signing_key(path, make=True) == key
    assert [file.name for file in path.parent.iterdir()] == ["signing.key"]


def test_two_starts_at_once_have_one_key(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    with ThreadPoolExecutor(1) as pool:
        assert len({pool.submit(signing_key, path, make=True).result() for _ in range(2)}) == 1


def test_a_key_that_was_to_be_there_is_not_made(tmp_path: Path) -> None:
    """With `signing_key_file` a missing key is a mistake, not a reason to log everybody out."""
    with pytest.raises(BadSigningKey, match="cannot be read"):
        signing_key(tmp_path / "signing.key", make=False)


def test_a_short_key_is_none(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    path.write_bytes(b"short")
    with pytest.raises(BadSigningKey, match="has 5 bytes"):
        signing_key(path, make=True)
