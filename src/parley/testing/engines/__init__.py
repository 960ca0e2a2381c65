"""Engines of a test's own: a database, Redis or Kafka that it may kill, stop, start again and throw away.

    with PostgresqlServer() as server:
        …server.url…
        server.kill()
        server.start()

    async with RedisServer() as server:
        server.kill()
        await server.started()

They run the machine's own programs, on loopback, in a folder that is removed at the end. tools/services.py brings the
ones that all tests share with the same classes. Linux only: /proc tells which processes belong to an engine.
"""

from parley.testing.engines.engine import Engine, EngineDied, EngineMissing
from parley.testing.engines.kafka import KafkaServer
from parley.testing.engines.mariadb import MariadbServer
from parley.testing.engines.postgresql import PostgresqlServer
from parley.testing.engines.redis import RedisServer

__all__ = [
    "Engine",
    "EngineDied",
    "EngineMissing",
    "KafkaServer",
    "MariadbServer",
    "PostgresqlServer",
    "RedisServer",
]
