"""A test's own Kafka: what was acknowledged is there again after a kill."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from parley.testing.engines import KafkaServer, processes

pytestmark = pytest.mark.crash


async def test_kafka_keeps_what_it_acknowledged_over_a_kill() -> None:
    async with KafkaServer() as server:
        admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("words", num_partitions=1, replication_factor=1)])
        await admin.close()
        await say(server, b"before")

        server.kill()
        assert not processes.alive(server.pid)
        assert not server.answers()
        await server.started()

        await say(server, b"after")
        consumer = AIOKafkaConsumer("words", bootstrap_servers=server.bootstrap, auto_offset_reset="earliest")
        async with consumer:
            assert [(await consumer.getone()).value for _ in range(2)] == [b"before", b"after"]


async def say(server: KafkaServer, word: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=server.bootstrap, acks="all") as producer:
        await producer.send_and_wait("words", word)
