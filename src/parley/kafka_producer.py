"""A Kafka producer that keeps order and counts once, and letting go of one whether or not Kafka is there."""

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed


async def open_producer(bootstrap: str, batch_bytes: int) -> AIOKafkaProducer:
    """On all replicas in sync, each record once, in the order of `send` per partition. It tries for ever; what fails
    all the same leaves a hole in its numbers, and nothing more goes through it. Raises KafkaError."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        acks="all",
        max_batch_size=batch_bytes,
        request_timeout_ms=10_000,
    )
    try:
        await producer.start()
    except BaseException:
        await abandon(producer)
        raise
    return producer


async def abandon(producer: AIOKafkaProducer) -> None:
    """Stop it without waiting for brokers that may never come back. What it has not confirmed may arrive or not.

    aiokafka's own `stop` waits until everything is confirmed.
    """
    sending: asyncio.Task[None] | None = producer._sender.sender_task
    if sending is not None and not sending.done():
        sending.cancel()
        producer._message_accumulator.fail_all(ProducerClosed())
    await producer.stop()
