"""The server that is measured: one of our own, pinned and seeded, or somebody's that runs already."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from parley.bench.process import Cores, on_core, pin
from parley.bench.seed import Plan, Seeded, seed
from parley.client_ids import new_client_id
from parley.testing.server import UNLIMITED, running_server

SETTINGS: Mapping[str, str] = {**UNLIMITED, "limits.connections": "20000"}
QUIET: Mapping[str, str] = {**SETTINGS, "heartbeat.ping_s": "3600", "heartbeat.silence_s": "7200"}
"""For short runs: clients that never speak are not pinged, so every byte they get is of a log frame."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where clients connect and as whom. `pid` and `data` are None for a server that is not ours to look into."""

    host: str
    port: int
    tokens: list[str]
    user_ids: list[int]
    rooms: list[int]
    row_bytes: int
    salt: int
    pid: int | None
    data: Path | None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def figures(self) -> dict[str, float]:
        """The server's own counters by name, labels left out and summed; empty if it does not show them."""
        try:
            page = httpx.get(f"{self.url}/metrics", timeout=10.0, trust_env=False)
        except httpx.TransportError:
            return {}
        return read_metrics(page.text) if page.status_code == 200 else {}


def read_metrics(page: str) -> dict[str, float]:
    """Prometheus' text: sample name -> sum over its labels."""
    found: dict[str, float] = {}
    for name, value in re.findall(r"^([a-z_]+)(?:\{[^}]*\})? ([0-9.eE+-]+)$", page, re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found


@contextlib.contextmanager
def own_server(plan: Plan, cores: Cores, folder: Path | None, settings: Mapping[str, str] = QUIET) -> Iterator[Stage]:
    """A fresh `parley serve` on a folder made for it, which is gone afterwards. Raises ServerDied."""
    data = Path(tempfile.mkdtemp(prefix="parley-bench-", dir=folder))
    try:
        seeded = seed(data / "data", plan)
        server = running_server(data / "data", settings=settings, log_path=data / "log")
        with on_core(cores.server):
            server.start()
        try:
            pin(server.pid, cores.server)
            yield _staged(server.host, server.port, seeded, server.pid, data)
        finally:
            server.kill()
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _staged(host: str, port: int, seeded: Seeded, pid: int, data: Path) -> Stage:
    return Stage(
        host, port, seeded.tokens, seeded.user_ids, seeded.rooms, seeded.row_bytes, seeded.salt, pid, data
    )  # fmt: skip


class CannotBorrow(Exception):
    """The running server does not let us measure it; the text says why."""


def borrowed(url: str, username: str, password: str, sockets: int, rooms: int, salt: int) -> Stage:
    """Log in at a running server and make rooms there; all sockets are that one account's."""
    at = httpx.URL(url)
    if at.scheme != "http":
        raise CannotBorrow("only http:// addresses: the generator does not speak TLS")
    with httpx.Client(base_url=url, timeout=30.0, trust_env=False) as http:
        login = http.post("/api/v1/auth/login", json={"username": username, "password": password})
        if login.status_code != 200:
            raise CannotBorrow(f"login was answered with {login.status_code}")
        answer = login.json()
        http.headers["authorization"] = f"Bearer {answer['access_token']}"
        made = []
        for _ in range(rooms):
            name = f"bench-{secrets.token_hex(6)}"
            body = {"client_id": new_client_id(), "kind": "room", "name": name, "join_policy": "invite"}
            room = http.post("/api/v1/conversations", json=body)
            if room.status_code not in (200, 201):
                raise CannotBorrow(f"making a room was answered with {room.status_code}: {room.text[:200]}")
            made.append(int(room.json()["id"]))
    token, user = str(answer["access_token"]), int(answer["user"]["id"])
    return Stage(at.host, at.port or 80, [token] * sockets, [user] * sockets, made, 0, salt, None, None)
