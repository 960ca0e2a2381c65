"""Which log: batches of this process, or a topic that appenders bring into the store; by `[log] kind` and the roles."""

import secrets
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from parley.app.stores import Store
from parley.clock import Clock
from parley.log.appender import Appender
from parley.log.direct import DirectLog
from parley.log.envelope import Origin
from parley.log.figures import AppenderMetrics
from parley.log.interface import Log, Publish
from parley.log.kafka import KafkaLog
from parley.log.kafka_results import Answers
from parley.log.kafka_topics import LogNotReady, Topic, check_topics, log_topics, stream_topic
from parley.log.places import Places, looking_up
from parley.observability import Metrics
from parley.settings import Kafka, Settings
from parley.store.interface import StoreBroken
from parley.stream.stream import Stream

log = structlog.get_logger()

Partitions = Mapping[str, int]
"""How many each topic has that this process uses, by its name."""


class Way(Protocol):
    """How commands get into the store from here. `start` before use; then `log.drain`, and `stop` after it."""

    @property
    def log(self) -> Log: ...

    @property
    def reason(self) -> str | None:
        """Why it takes nothing more just now; None while it does."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


def wanted_topics(settings: Settings) -> list[Topic]:
    """What Kafka must have for these settings; none if it is not used."""
    kafka = settings.kafka
    topics: list[Topic] = []
    if settings.log.kind == "kafka":
        topics += log_topics(kafka.commands, kafka.results, partitions=kafka.partitions, replicas=kafka.replicas)
    if kafka.stream:
        topics.append(stream_topic(kafka.stream, partitions=kafka.partitions, replicas=kafka.replicas))
    return topics


async def open_topics(settings: Settings) -> Partitions:
    """Ask Kafka whether it can keep what is promised. Raises LogNotReady.

    What only the stream wants is no reason not to start: chat does not know of it, and it catches up.
    """
    if settings.log.kind == "kafka":
        return await check_topics(settings.kafka.bootstrap, wanted_topics(settings))
    if settings.kafka.stream:
        try:
            await check_topics(settings.kafka.bootstrap, wanted_topics(settings))
        except LogNotReady as error:
            log.warning("stream_not_ready", error=str(error))
    return {}


def open_log(
    settings: Settings,
    topics: Partitions,
    store: Store,
    publish: Publish,
    clock: Clock,
    metrics: Metrics,
    turn_done: Callable[[], None],
    on_broken: Callable[[StoreBroken], None],
) -> Way:
    """The log of this process's roles; `publish` is told what it has committed. Needs a running event loop."""
    kafka = settings.log.kind == "kafka"
    direct = DirectLog(
        store.batches,
        publish,
        turn_done=turn_done,
        on_broken=on_broken,
        # Over Kafka it only moves marks: a batch is then what the appender writes.
        metrics=None if kafka else metrics,
    )
    if not kafka:
        return Direct(direct)
    return OverKafka(settings, topics, direct, store, publish, clock, metrics, turn_done, on_broken)


def open_stream(settings: Settings, store: Store, metrics: Metrics) -> Stream | None:
    """By `[kafka] stream`, on every node: a lease sees to it that one of them streams."""
    kafka = settings.kafka
    if not kafka.stream:
        return None
    return Stream(
        kafka.bootstrap,
        kafka.stream,
        database=store.database,
        owner=f"{store.node.id}.{secrets.token_hex(8)}",
        shared=store.shared,
        confirmed=metrics.stream_entries,
    )


class Direct:
    """Straight into the store."""

    def __init__(self, log: DirectLog) -> None:
        self.log = log

    @property
    def reason(self) -> str | None:
        return None if self.log.accepting else "the log takes nothing more just now"

    async def start(self) -> None:
        """It needs nothing."""

    async def stop(self) -> None:
        """It holds nothing."""


class OverKafka:
    """A gateway writes commands to a topic and hears the answers; an appender brings them into the store. Both by
    default, in one process."""

    def __init__(
        self,
        settings: Settings,
        topics: Partitions,
        marks: DirectLog,
        store: Store,
        publish: Publish,
        clock: Clock,
        metrics: Metrics,
        turn_done: Callable[[], None],
        on_broken: Callable[[StoreBroken], None],
    ) -> None:
        kafka = settings.kafka
        results = topics[kafka.results]
        self._gateway: KafkaLog | None = None
        self._appender: Appender | None = None
        self._answers = Answers(kafka.bootstrap, kafka.results, results, metrics.kafka_answers_lost)
        if "gateway" in settings.server.roles:
            origin = Origin(boot=secrets.token_hex(8), partition=store.node.id % results)
            self._gateway = KafkaLog(
                kafka.bootstrap,
                kafka.commands,
                kafka.results,
                partitions=topics[kafka.commands],
                origin=origin,
                epoch=store.epoch,
                marks=marks,
                look_up=looking_up(store.database),
                turn_done=turn_done,
                unknown=metrics.kafka_unknown,
            )
            self._answers.here(origin.boot, self._gateway.settle)
        if "appender" in settings.server.roles:
            self._appender = self._make_appender(kafka, store, publish, clock, metrics, turn_done, on_broken)
        # Nobody asks an appender without a gateway for anything.
        self.log: Log = self._gateway or marks

    def _make_appender(
        self,
        kafka: Kafka,
        store: Store,
        publish: Publish,
        clock: Clock,
        metrics: Metrics,
        turn_done: Callable[[], None],
        on_broken: Callable[[StoreBroken], None],
    ) -> Appender:
        return Appender(
            kafka.bootstrap,
            kafka.commands,
            store=store.batches,
            places=Places(store.database, clock, kafka.commands),
            answers=self._answers,
            publish=publish,
            turn_done=turn_done,
            on_broken=on_broken,
            metrics=AppenderMetrics(lag=metrics.kafka_lag, poison=metrics.kafka_poison),
            batch_metrics=metrics,
            epoch=store.epoch,
        )

    @property
    def reason(self) -> str | None:
        return self._gateway.reason if self._gateway is not None else None

    async def start(self) -> None:
        """Raises KafkaError."""
        if self._gateway is not None:
            await self._gateway.start()
        if self._appender is not None:
            await self._answers.start()
            await self._appender.start()

    async def stop(self) -> None:
        if self._appender is not None:
            await self._appender.stop()
        if self._gateway is not None:
            await self._gateway.stop()
        if self._appender is not None:
            await self._answers.stop()
