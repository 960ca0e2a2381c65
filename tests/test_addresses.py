"""Addresses with passwords: nothing of one is shown, and what a library would misread is named first."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.addresses import masked, wrong_with
from parley.configuration import as_toml
from parley.settings import Auth, Redis, Settings, Store, at_odds

CANARY = "CANARY"
GOOD = (
    "redis://127.0.0.1",
    "redis://:pw@127.0.0.1:6379/0",
    "rediss://user:p%40w%2F@[::1]:6379",
    "postgresql+psycopg://u:pw@db/parley?sslmode=require&application_name=a@b",
    "postgresql+psycopg:///parley?host=/run/postgresql",
    "mariadb+pymysql://u:p:w@db:3306/parley?charset=utf8mb4",
)
MISREAD = (
    f"redis://:{CANARY}/{CANARY}@127.0.0.1:6379/0",
    f"redis://:{CANARY}?{CANARY}@127.0.0.1:6379/0",
    f"redis://:{CANARY}@127.0.0.1:abc",
    f"redis://:{CANARY}@127.0.0.1:99999",
    f"postgresql+psycopg://u:{CANARY}@{CANARY}@db/parley",
    f"postgresql+psycopg://u:{CANARY}#{CANARY}@db/parley",
    f"mariadb+pymysql://u:{CANARY}@db:{CANARY}/parley",
)


def settings_of(url: str) -> Settings:
    if url.startswith("redis"):
        return Settings(redis=Redis(url=url))
    return Settings(store=Store(url=url), auth=Auth(signing_key_file=Path("signing.key")))


@pytest.mark.parametrize("url", GOOD)
def test_what_is_right_is_let_pass(url: str) -> None:
    assert wrong_with(url) is None
    assert at_odds(settings_of(url)) == []


@pytest.mark.parametrize("url", [*MISREAD, CANARY, f"u:{CANARY}@db/parley"])
def test_what_would_be_misread_is_named_and_not_repeated(url: str) -> None:
    [problem] = at_odds(settings_of(url))
    assert problem.startswith(("[redis] url: ", "[store] url: "))
    assert CANARY not in problem


def test_a_redis_has_numbers_and_no_names() -> None:
    assert at_odds(settings_of("redis://db/zero")) == ["[redis] url: the part after the host is a database's number"]


@pytest.mark.parametrize(
    "url",
    [
        *MISREAD[:2],
        *MISREAD[4:6],
        f"redis://:{CANARY}@db",
        f"postgresql+psycopg://db/parley?user=u&password={CANARY}&sslpassword={CANARY}",
    ],
)
def test_nothing_of_a_password_is_shown(url: str) -> None:
    assert CANARY not in masked(url)
    assert CANARY not in as_toml(settings_of(url))
