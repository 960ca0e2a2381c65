"""Whether Kafka's topics keep what the log needs of them: asked at start, and made by hand or by `create_topics`."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

log = structlog.get_logger()

DAY_MS = 86_400_000
MESSAGE_BYTES = 917_504
"""The largest batch that a gateway writes."""
KNOWN_TRIES = 100
KNOWN_SECONDS = 0.1
_KNOWN = ("min.insync.replicas", "retention.ms", "cleanup.policy", "max.message.bytes")


class LogNotReady(Exception):
    """Kafka, as it is, cannot keep what is promised. One sentence, with what to do about it."""


class Topic(msgspec.Struct, frozen=True):
    """What a topic must be. `replicas`: on how many brokers at least. `kept`: it must not lose what is in it."""

    name: str
    partitions: int
    replicas: int
    kept: bool = True

    @property
    def in_sync(self) -> int:
        """How many brokers must have a record before it is confirmed: one may then be lost with all it had."""
        return min(2, self.replicas)

    def config(self) -> dict[str, str]:
        # Kept for a week, so that a database away over a long weekend loses no command that nobody repeats.
        week = {"retention.ms": str(7 * DAY_MS)} if self.kept else {"retention.ms": str(DAY_MS)}
        return {"min.insync.replicas": str(self.in_sync), "cleanup.policy": "delete", **week}

    def command(self, bootstrap: str) -> str:
        """How a person makes it."""
        config = "".join(f" --config {key}={value}" for key, value in self.config().items())
        return (
            f"kafka-topics.sh --bootstrap-server {bootstrap} --create --topic {self.name}"
            f" --partitions {self.partitions} --replication-factor {self.replicas}{config}"
        )


def log_topics(commands: str, results: str, *, partitions: int, replicas: int) -> tuple[Topic, Topic]:
    """The two that `log=kafka` works with. A lost answer is found in the store, so the results need not be kept."""
    return Topic(commands, partitions, replicas), Topic(results, partitions, replicas, kept=False)


def stream_topic(name: str, *, partitions: int, replicas: int) -> Topic:
    return Topic(name, partitions, replicas)


async def check_topics(bootstrap: str, topics: Sequence[Topic]) -> dict[str, int]:
    """How many partitions each has, by name. Raises LogNotReady."""
    admin = await _admin(bootstrap)
    try:
        found = await _described(admin, topics)
        for topic in topics:
            _check_copies(topic, found[topic.name], bootstrap)
        configs = await _configs(admin, topics)
        for topic in topics:
            _check_config(topic, configs.get(topic.name, {}))
    except KafkaError as error:
        raise LogNotReady(f"Kafka at {bootstrap} does not tell about its topics: {error!r}") from error
    finally:
        await admin.close()
    return {name: len(found[name]["partitions"]) for name in found}


async def create_topics(bootstrap: str, topics: Sequence[Topic]) -> list[str]:
    """Make those that are not there; returns their names. Raises LogNotReady."""
    admin = await _admin(bootstrap)
    try:
        answer = await admin.create_topics(
            [NewTopic(topic.name, topic.partitions, topic.replicas, topic_configs=topic.config()) for topic in topics]
        )
        made: list[str] = []
        for name, code, *text in answer.topic_errors:
            error = for_code(code)
            if code == 0:
                made.append(name)
            elif error is not TopicAlreadyExistsError:
                raise LogNotReady(f"Kafka did not make the topic {name}: {error.__name__} {' '.join(map(str, text))}")
        await _all_known(admin, topics)
        return made
    except KafkaError as error:
        raise LogNotReady(f"Kafka at {bootstrap} did not make the topics: {error!r}") from error
    finally:
        await admin.close()


async def _admin(bootstrap: str) -> AIOKafkaAdminClient:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=10_000)
    try:
        await admin.start()
    except (KafkaError, OSError, ValueError) as error:
        await admin.close()
        raise LogNotReady(f"Kafka cannot be reached at {bootstrap}: {error!r}") from error
    return admin


async def _all_known(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    """The controller has them; the brokers hear of it a moment later."""
    for _ in range(KNOWN_TRIES):
        rows = (await _described(admin, topics)).values()
        if all(row["error_code"] == 0 and _all_led(row) for row in rows):
            return
        await asyncio.sleep(KNOWN_SECONDS)
    raise LogNotReady("Kafka made the topics, and its brokers do not know them yet: look at the brokers' logs")


def _all_led(row: Mapping[str, Any]) -> bool:
    return bool(row["partitions"]) and all(partition["leader"] >= 0 for partition in row["partitions"])


async def _described(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, Any]:
    return {row["topic"]: row for row in await admin.describe_topics([topic.name for topic in topics])}


def _check_copies(topic: Topic, row: Mapping[str, Any], bootstrap: str) -> None:
    if row["error_code"] != 0 or not row["partitions"]:
        raise LogNotReady(
            f"Kafka has no topic {topic.name}; `parley migrate` makes it, or by hand: {topic.command(bootstrap)}"
        )
    fewest = min(len(partition["replicas"]) for partition in row["partitions"])
    if fewest < topic.replicas:
        raise LogNotReady(
            f"Kafka keeps the topic {topic.name} on {fewest} broker(s), and [kafka] replicas asks for"
            f" {topic.replicas}: add replicas, or say that fewer are enough"
        )


async def _configs(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, dict[str, str]]:
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=dict.fromkeys(_KNOWN, "")) for topic in topics
    ]
    found: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(asked):
        for _code, _text, _type, name, entries in answer.resources:
            found[name] = {str(entry[0]): str(entry[1]) for entry in entries}
    return found


def _check_config(topic: Topic, config: Mapping[str, str]) -> None:
    """Kafka may be set not to tell; what it does not tell is not held against it."""
    in_sync = int(config.get("min.insync.replicas", topic.in_sync))
    if topic.kept and in_sync < topic.in_sync:
        raise LogNotReady(
            f"Kafka confirms a record of {topic.name} when {in_sync} broker(s) have it, and a lost broker would take"
            f" it along: set the topic's min.insync.replicas to {topic.in_sync}"
        )
    if "compact" in config.get("cleanup.policy", "delete"):
        raise LogNotReady(
            f"Kafka compacts the topic {topic.name}, which removes all but the last record of a conversation:"
            " set its cleanup.policy to delete"
        )
    if int(config.get("max.message.bytes", MESSAGE_BYTES)) < MESSAGE_BYTES:
        raise LogNotReady(
            f"Kafka takes only {config['max.message.bytes']} bytes at once in the topic {topic.name}:"
            f" set its max.message.bytes to {MESSAGE_BYTES} or more"
        )
    retention = int(config.get("retention.ms", -1))
    if topic.kept and 0 <= retention < DAY_MS:
        log.warning("short_retention", topic=topic.name, retention_ms=retention, advised_ms=DAY_MS)
