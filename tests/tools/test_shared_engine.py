"""The engines that all tests share are brought once, found again, and never mistaken for somebody else's process."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

import shared_engine
from parley.testing.engines import Engine, MariadbServer, PostgresqlServer, RedisServer, processes
from shared_engine import bring, end, remove

QUICK: tuple[type[Engine], ...] = (PostgresqlServer, MariadbServer, RedisServer)
pytestmark = pytest.mark.crash


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    state = tmp_path / ".services"
    state.mkdir()
    yield state
    for kind in QUICK:
        remove(kind, state)


def pid_of(kind: type[Engine], state: Path) -> int:
    return int((state / f"{kind.name}.pid").read_text())


@pytest.mark.parametrize("kind", QUICK)
def test_an_engine_that_answers_is_left_alone(kind: type[Engine], state: Path) -> None:
    url = bring(kind, state)
    pid = pid_of(kind, state)

    assert bring(kind, state) == url
    assert pid_of(kind, state) == pid
    assert processes.alive(pid)


@pytest.mark.parametrize("kind", QUICK)
def test_an_engine_that_died_comes_back_at_its_address(kind: type[Engine], state: Path) -> None:
    url = bring(kind, state)
    pid = pid_of(kind, state)
    assert processes.wait_until_gone(processes.kill_tree(pid), 10)

    assert bring(kind, state) == url
    assert pid_of(kind, state) != pid


def test_an_engine_that_hangs_is_replaced(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was stopped in its tracks holds the port and answers nobody."""
    monkeypatch.setattr(shared_engine, "STOP_S", 0.2)
    url = bring(RedisServer, state)
    pid = pid_of(RedisServer, state)
    os.kill(pid, signal.SIGSTOP)

    assert bring(RedisServer, state) == url
    assert not processes.alive(pid)


def test_an_engine_whose_port_was_taken_while_it_was_down_moves(state: Path) -> None:
    bring(PostgresqlServer, state)
    port = json.loads((state / "postgresql.json").read_text())["port"]
    end(PostgresqlServer, state)
    with socket.create_server(("127.0.0.1", port)):
        url = bring(PostgresqlServer, state)

    assert make_url(url).port != port
    assert bring(PostgresqlServer, state) == url


def test_an_engine_stops_and_its_data_stay(state: Path) -> None:
    bring(PostgresqlServer, state)
    pid = pid_of(PostgresqlServer, state)
    folder = Path(json.loads((state / "postgresql.json").read_text())["folder"])

    assert end(PostgresqlServer, state)

    assert not processes.alive(pid)
    assert (folder / "data" / "PG_VERSION").exists()
    assert not end(PostgresqlServer, state)


def test_nothing_is_left_of_an_engine_that_was_removed(state: Path) -> None:
    bring(PostgresqlServer, state)
    folder = Path(json.loads((state / "postgresql.json").read_text())["folder"])

    remove(PostgresqlServer, state)

    assert not folder.exists()
    assert not list(state.iterdir()) or list(state.iterdir()) == [folder.parent]


def test_a_stranger_with_an_old_number_is_not_ended(state: Path) -> None:
    """After the machine's restart the number in the file may be anybody's."""
    bring(RedisServer, state)
    end(RedisServer, state)
    with subprocess.Popen(["sleep", "60"], cwd="/") as stranger:
        (state / "redis.pid").write_text(str(stranger.pid))

        assert not end(RedisServer, state)

        assert stranger.poll() is None
        stranger.kill()


def test_nobody_else_may_read_the_passwords(state: Path) -> None:
    bring(RedisServer, state)

    record = state / "redis.json"
    assert json.loads(record.read_text())["password"]
    assert stat.S_IMODE(record.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs an engine as another user")
def test_an_engine_whose_user_may_not_enter_the_checkout_lies_elsewhere(state: Path) -> None:
    state.parent.chmod(0o700)
    bring(PostgresqlServer, state)

    folder = Path(json.loads((state / "postgresql.json").read_text())["folder"])
    assert not folder.is_relative_to(state)
    assert folder.owner() == "postgres"


def test_an_engine_that_cannot_start_is_a_reason_and_no_traceback(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RedisServer, "command", lambda _: ["sh", "-c", "echo there is no room; exit 3"])

    with pytest.raises(shared_engine.CannotRun, match="there is no room"):
        bring(RedisServer, state)
