"""Who reads the stream's topic from its beginning, as a consumer of it would."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from tests.store.stores import Store

from parley.log.kafka_topics import create_topics, stream_topic
from parley.protocol.types import ConversationId
from parley.protocol.wire import wire_entry
from parley.stream.stream import Stream, Times

PARTITIONS = 3
PATIENCE = 60.0
OFTEN = Times(poll=0.05, compare=60.0, lease=0.6, again=0.05)


class Tally:
    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        self.value += amount


class Reader:
    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.got: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """Everything, by conversation, as it came."""
        self.keys: dict[str, set[bytes]] = defaultdict(set)

    async def read(self) -> None:
        for records in (await self._consumer.getmany(timeout_ms=100)).values():
            for record in records:
                entry = msgspec.json.decode(record.value)
                self.got[entry["conversation_id"]].append(entry)
                self.keys[entry["conversation_id"]].add(record.key)

    async def until(self, store: Store, *conversations: ConversationId) -> None:
        """Read until the head of each has come."""
        async with asyncio.timeout(PATIENCE):
            for conversation in conversations:
                head = store.head(conversation)
                while not any(entry["seq"] == head for entry in self.got[str(conversation)]):
                    await self.read()

    def seqs(self, conversation: ConversationId) -> list[int]:
        return [entry["seq"] for entry in self.got[str(conversation)]]

    def kept(self, conversation: ConversationId) -> list[int]:
        """What is left when one drops what is not above the last seq, as the documentation says."""
        kept: list[int] = []
        for seq in self.seqs(conversation):
            if not kept or seq > kept[-1]:
                kept.append(seq)
        return kept


@asynccontextmanager
async def reading(bootstrap: str, topic: str) -> AsyncIterator[Reader]:
    await create_topics(bootstrap, [stream_topic(topic, partitions=PARTITIONS, replicas=1)])
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=50)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        yield Reader(consumer)
    finally:
        await consumer.stop()


def stream_of(
    store: Store, bootstrap: str, topic: str, *, owner: str = "one", shared: bool = False, times: Times = OFTEN
) -> Stream:
    return Stream(bootstrap, topic, database=store.database, owner=owner, shared=shared, confirmed=Tally(), times=times)


def native(store: Store, conversation: ConversationId) -> list[dict[str, Any]]:
    """Its log as clients see it, each entry with its conversation."""
    return [
        {"conversation_id": str(conversation), **msgspec.json.decode(wire_entry(entry))}
        for entry in store.log(conversation)
    ]
