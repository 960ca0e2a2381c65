"""A Redis that keeps nothing: what was in it is gone when it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import TimeoutError as TooSlow
from redis.retry import Retry

from parley.testing.engines.engine import Engine, find_program

SETTINGS: Mapping[str, str] = {
    "bind": "127.0.0.1",
    "save": '""',
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
    "databases": "256",  # so that tests side by side can have one each
    "daemonize": "no",
}


class RedisServer(Engine):
    """`url` names database 0. `settings` are those of redis.conf."""

    name: ClassVar[str] = "redis"

    @classmethod
    def programs(cls) -> Mapping[str, str]:
        return {"redis-server": find_program("redis-server")}

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{self.host}:{self.port}/0"

    def make_data(self, folder: Path) -> None:
        folder.mkdir()

    def command(self) -> Sequence[str]:
        own = {"port": str(self.port), "dir": str(self.data), "requirepass": self.password}
        settings = {**SETTINGS, **own, **self.settings}
        lines = "".join(f"{name} {value}\n" for name, value in settings.items())
        # A file, because every user of the machine can read a command line.
        return [self.programs()["redis-server"], str(self.write_private("redis.conf", lines))]

    def connect(self) -> Redis:
        """A client that tries once: what it is told is how things are."""
        retry = Retry(NoBackoff(), 0)
        return Redis.from_url(self.url, socket_timeout=2.0, socket_connect_timeout=2.0, retry=retry)

    def answers(self) -> bool:
        try:
            with self.connect() as client:
                return bool(client.ping())
        except (Unreachable, TooSlow):
            return False
