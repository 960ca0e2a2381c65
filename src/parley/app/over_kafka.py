"""Kafka: the topics, the log over them, and the stream. Imported only where it is asked for."""

import secrets
from collections.abc import Callable

import structlog

from parley.app.logs import Partitions
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


def wanted_topics(settings: Settings) -> list[Topic]:
    """What Kafka must have for these settings; none if it is not used."""
    kafka = settings.kafka
    topics: list[Topic] = []
    if settings.log.kind == "kafka":
        topics += log_topics(kafka.commands, kafka.results, partitions=kafka.partitions, replicas=kafka.replicas)
    if kafka.stream:
        topics.append(stream_topic(kafka.stream, partitions=kafka.partitions, replicas=kafka.replicas))
    return topics


async def asked_topics(settings: Settings) -> Partitions:
    """`open_topics` where Kafka is used. What only the stream wants is no reason not to start: chat does not know of
    it, and it catches up."""
    if settings.log.kind == "kafka":
        return await check_topics(settings.kafka.bootstrap, wanted_topics(settings))
    if settings.kafka.stream:
        try:
            await check_topics(settings.kafka.bootstrap, wanted_topics(settings))
        except LogNotReady as error:
            log.warning("stream_not_ready", error=str(error))
    return {}


def make_stream(settings: Settings, store: Store, metrics: Metrics) -> Stream:
    """On every node: a lease sees to it that one of them streams."""
    kafka = settings.kafka
    return Stream(
        kafka.bootstrap,
        kafka.stream,
        database=store.database,
        owner=f"{store.node.id}.{secrets.token_hex(8)}",
        shared=store.shared,
        confirmed=metrics.stream_entries,
    )


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
