"""Topics that could not keep what the log promises are refused at start, with what to do about it."""

from __future__ import annotations

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from structlog.testing import capture_logs

from parley.log.kafka_topics import LogNotReady, Topic, check_topics, create_topics, log_topics, stream_topic
from parley.testing.server import steady_port
from parley.testing.shared import Topics


async def make(kafka: Topics, name: str, **config: str) -> str:
    topic = kafka.prefix + name
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(topic, 2, 1, topic_configs={k.replace("_", "."): v for k, v in config.items()})]
        )
    finally:
        await admin.close()
    # Returns when all brokers know it.
    await create_topics(kafka.bootstrap, [Topic(topic, 2, 1)])
    return topic


async def test_what_is_made_passes_the_check(kafka: Topics) -> None:
    topics = [
        *log_topics(kafka.prefix + "c", kafka.prefix + "r", partitions=3, replicas=1),
        stream_topic(kafka.prefix + "s", partitions=2, replicas=1),
    ]
    made = await create_topics(kafka.bootstrap, topics)

    assert sorted(made) == [kafka.prefix + it for it in "crs"]
    assert await create_topics(kafka.bootstrap, topics) == []
    assert await check_topics(kafka.bootstrap, topics) == {
        kafka.prefix + "c": 3, kafka.prefix + "r": 3, kafka.prefix + "s": 2,
    }  # fmt: skip


async def test_a_missing_topic_is_named_with_the_command_that_makes_it(kafka: Topics) -> None:
    topic = Topic(kafka.prefix + "none", 12, 3)

    with pytest.raises(LogNotReady) as refused:
        await check_topics(kafka.bootstrap, [topic])

    assert f"no topic {topic.name}" in str(refused.value)
    assert f"--create --topic {topic.name} --partitions 12 --replication-factor 3" in str(refused.value)
    assert "--config min.insync.replicas=2" in str(refused.value)


async def test_the_check_makes_nothing(kafka: Topics) -> None:
    topic = Topic(kafka.prefix + "none", 1, 1)
    for _ in range(2):
        with pytest.raises(LogNotReady, match="no topic"):
            await check_topics(kafka.bootstrap, [topic])


async def test_too_few_replicas_are_refused(kafka: Topics) -> None:
    """One broker that burns would take commands along that wait in it."""
    topic = await make(kafka, "single")

    with pytest.raises(LogNotReady, match=r"on 1 broker\(s\), and \[kafka\] replicas asks for 3"):
        await check_topics(kafka.bootstrap, [Topic(topic, 2, 3)])


async def test_more_replicas_than_brokers_cannot_be_made(kafka: Topics) -> None:
    with pytest.raises(LogNotReady, match="InvalidReplicationFactor"):
        await create_topics(kafka.bootstrap, [Topic(kafka.prefix + "many", 1, 3)])


async def test_a_compacted_topic_is_refused(kafka: Topics) -> None:
    topic = await make(kafka, "compacted", cleanup_policy="compact")

    with pytest.raises(LogNotReady, match=r"set its cleanup\.policy to delete"):
        await check_topics(kafka.bootstrap, [Topic(topic, 2, 1)])


async def test_a_topic_for_short_messages_is_refused(kafka: Topics) -> None:
    topic = await make(kafka, "short", max_message_bytes="10000")

    with pytest.raises(LogNotReady, match="only 10000 bytes"):
        await check_topics(kafka.bootstrap, [Topic(topic, 2, 1)])


async def test_a_short_retention_is_warned_of(kafka: Topics) -> None:
    topic = await make(kafka, "brief", retention_ms="60000")

    with capture_logs() as lines:
        await check_topics(kafka.bootstrap, [Topic(topic, 2, 1)])
        await check_topics(kafka.bootstrap, [Topic(topic, 2, 1, kept=False)])

    assert [(line["event"], line["retention_ms"]) for line in lines] == [("short_retention", 60_000)]


async def test_a_broker_that_is_not_there_is_named() -> None:
    nowhere = f"127.0.0.1:{steady_port()}"

    with pytest.raises(LogNotReady, match=f"cannot be reached at {nowhere}"):
        await check_topics(nowhere, [Topic("any", 1, 1)])
